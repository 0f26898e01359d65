// A chat completions body → the inputs of text generation.
//
// Every known parameter is either passed on, or neutral as given, or refused by name; an unknown one goes to the
// Runner, which names it in its notes. None is dropped in silence.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace glia::api {

struct ChatRequest {
  std::string model;
  json::object inputs;
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string> notes;
};

/// Errors: glia::Error(invalid_input) whose detail begins with the parameter.
ChatRequest read_chat_request(json::object body);

}  // namespace glia::api
