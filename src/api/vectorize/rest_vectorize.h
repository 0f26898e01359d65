// Vectorize over Cloudflare's REST API: /client/v4/accounts/{account}/vectorize/v2/indexes/…
// Source: the published API reference of Vectorize; wrangler's own calls.
#pragma once

#include <memory>
#include <string_view>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

/// False for a path that is not Vectorize's. `rest`: the path below the account. Errors: glia::Error.
bool serve_vectorize_rest(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                          const std::shared_ptr<http::Request>& request, std::string_view account,
                          std::string_view rest);

}  // namespace glia::api
