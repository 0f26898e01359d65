// What OpenAI's request bodies have in common, and the inputs of text generation that they become.
//
// Every known parameter is either passed on, or neutral as given, or refused by name; an unknown one goes to the
// Runner, which names it in its notes. None is dropped in silence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace glia::api {

struct OpenAiRequest {
  std::string model;
  json::object inputs;  ///< of text generation
  json::value options;  ///< Workers AI's own `options` beside OpenAI's parameters; null where none are given
  bool stream = false;
  bool include_usage = false;
  std::vector<std::string> notes;
};

[[noreturn]] void refuse_parameter(std::string_view name, std::string_view why);
[[noreturn]] void not_served_parameter(std::string_view name);

/// The body's model. Errors: glia::Error(invalid_input).
std::string model_of(const json::object& body);

/// Takes a parameter that chat and completions both have. False: it is none of them, and `value` is untouched.
bool take_shared_parameter(std::string_view name, json::value& value, OpenAiRequest& out);

/// Values that leave an answer as it is: null, false, 0, nothing in a list or an object.
bool asks_for_nothing(const json::value& value);

/// OpenAI's newer name for instructions; templates know "system".
void rename_developer_role(json::value& messages);

}  // namespace glia::api
