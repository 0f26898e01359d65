// response objects, and the events of a streamed one. Source: OpenAI's API reference, responses and
// responses-streaming.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/text_call.h"

namespace glia::api {

/// `request_id` becomes part of "resp_…"; `created`: unix seconds; `settings`: what is repeated of the request.
/// `envelope`: Cloudflare's around a whole answer. A stream ends with [DONE], as every stream of a run does.
std::unique_ptr<TextFormat> responses_format(std::string_view request_id, std::int64_t created, json::object settings,
                                             bool envelope);

}  // namespace glia::api
