// Text generation input, typed. Source: the service's input table (catalog/schemas/text-generation.json).
// Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"

namespace glia::tasks {

struct TextGenerationInput {
  json::array messages;    ///< {role, content: string, …}; a bare prompt stands here as one user message
  std::string raw_prompt;  ///< instead of messages: goes to the model as it is
  std::int64_t max_tokens = 256;
  bool max_tokens_given = false;
  engine::Sampling sampling;
  std::vector<std::string> stop;
};

/// Reads what the schema let through. Parts of a message's content are joined by line breaks.
/// Errors: glia::Error, naming the field, for what is not served: lora (lora_unsupported), tools, functions, tool calls
/// and results, response_format and guided_json, pictures on a text model (invalid_input).
TextGenerationInput read_text_generation(json::object inputs, bool max_tokens_given);

}  // namespace glia::tasks
