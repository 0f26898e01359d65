// OpenAI's API: /v1/… and the same below /client/v4/accounts/{account}/ai/v1/….
// Source: OpenAI's published API reference (chat completions, models, errors).
#pragma once

#include <memory>
#include <string_view>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"

namespace glia::api {

/// `path`: what follows "/v1/".
void serve_openai(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, http::Request request,
                  std::string_view account, std::string_view path);

}  // namespace glia::api
