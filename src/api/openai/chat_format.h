// chat.completion and chat.completion.chunk objects.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "api/text_call.h"

namespace glia::api {

/// {prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details}: OpenAI always shows the details.
json::object openai_usage(const tasks::TokenUsage& usage);

/// `request_id` becomes part of "chatcmpl-…"; `created`: unix seconds.
std::unique_ptr<TextFormat> chat_format(std::string_view request_id, std::int64_t created, bool include_usage);

}  // namespace glia::api
