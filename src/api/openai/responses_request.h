// The Responses form of a run's inputs (`input`, `instructions`, `reasoning`, …) → the inputs of text generation.
// Source: OpenAI's API reference, responses; ResponsesInput of @cloudflare/workers-types.
//
// As with the other forms, each parameter is passed on, neutral as given, noted or refused by name.
#pragma once

#include "api/openai/parameters.h"

namespace glia::api {

struct ResponsesRequest : OpenAiRequest {
  json::object settings;  ///< what the answer repeats of the request: instructions, temperature, …
};

/// Whether inputs of a run have the Responses form rather than Workers AI's own.
bool is_responses_form(const json::object& inputs);

/// Errors: glia::Error(invalid_input) whose detail begins with the parameter.
ResponsesRequest read_responses_request(json::object body);

}  // namespace glia::api
