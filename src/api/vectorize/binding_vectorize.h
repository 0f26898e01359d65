// What workerd's Vectorize class asks for: http://vector-search/query and so on, forwarded by Miniflare. The index is
// the one that the session has for the binding; it is made by the first vector, of its dimensions, by cosine.
// Source: cloudflare-internal:vectorize-api in workerd 1.2026.
#pragma once

#include <memory>
#include <string>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

/// `binding`: MF-Binding; empty where it was not said. `session`: null without one. Errors: glia::Error.
void serve_vectorize_binding(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                             std::shared_ptr<http::Request> request, const std::string& account,
                             const std::shared_ptr<const Session>& session, const std::string& binding);

}  // namespace glia::api
