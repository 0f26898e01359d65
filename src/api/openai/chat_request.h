// A chat completions body → the inputs of text generation. Source: OpenAI's API reference, chat/completions.
#pragma once

#include "api/openai/parameters.h"

namespace glia::api {

/// Errors: glia::Error(invalid_input) whose detail begins with the parameter.
OpenAiRequest read_chat_request(json::object body);

}  // namespace glia::api
