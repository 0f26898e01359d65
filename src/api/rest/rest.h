// Cloudflare's REST API: /client/v4/accounts/{account}/ai/…
// Source: the published API reference of Workers AI.
#pragma once

#include <memory>
#include <string_view>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

inline constexpr std::string_view kRestRoot = "/client/v4/";

/// The account and the rest of a path below /client/v4/accounts/{account}/; false for any other path.
bool split_account(std::string_view path, std::string_view& account, std::string_view& rest);

void serve_rest(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, http::Request request);

}  // namespace glia::api
