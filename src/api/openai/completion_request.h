// A legacy completions body → the inputs of text generation: the prompt goes to the model as it is, without a chat
// template. Source: OpenAI's API reference, completions.
#pragma once

#include <string>

#include "api/openai/parameters.h"

namespace glia::api {

struct CompletionRequest : OpenAiRequest {
  std::string echo;  ///< what stands before the answer: the prompt, where `echo` asks for it
};

/// Errors: glia::Error(invalid_input) whose detail begins with the parameter.
CompletionRequest read_completion_request(json::object body);

}  // namespace glia::api
