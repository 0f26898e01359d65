// What workerd's Ai class asks for, as it comes (POST /run?version=3) or forwarded by Miniflare (POST /bind/<session>
// or / with MF-URL, MF-Binding and MF-Header-*). Source: cloudflare-internal:ai-api, to-markdown-api, aig-api,
// autorag-api in workerd 1.2026; miniflare 4's remote-proxy-client.
#pragma once

#include <memory>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

/// Whether a request is a binding's: by its headers, its host or its path.
bool is_binding_request(const http::Request& request);

void serve_binding(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, http::Request request);

}  // namespace glia::api
