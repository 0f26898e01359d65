#include "api/openai/chat_request.h"

#include <algorithm>
#include <array>

namespace glia::api {
namespace {

/// Parameters that would change the answer and are not served, unless they ask for nothing.
constexpr std::array<std::string_view, 15> kNotServed = {"tools",
                                                         "tool_choice",
                                                         "functions",
                                                         "function_call",
                                                         "logprobs",
                                                         "top_logprobs",
                                                         "logit_bias",
                                                         "n",
                                                         "modalities",
                                                         "audio",
                                                         "prediction",
                                                         "verbosity",
                                                         "reasoning_effort",
                                                         "web_search_options",
                                                         "parallel_tool_calls"};

bool is_neutral(std::string_view name, const json::value& value) {
  if (name == "n" && value.is_number()) return value.to_number<double>() == 1;
  if (name == "parallel_tool_calls" && value.is_bool()) return true;
  if (name == "modalities" && value == json::value({"text"})) return true;
  if ((name == "tool_choice" || name == "function_call") && value.is_string()) {
    return value.get_string() == "none" || value.get_string() == "auto";
  }
  return asks_for_nothing(value);
}

}  // namespace

OpenAiRequest read_chat_request(json::object body) {
  OpenAiRequest out;
  out.model = model_of(body);
  if (!body.contains("messages")) refuse_parameter("messages", "missing");
  const json::value* most = body.if_contains("max_completion_tokens");
  if (most == nullptr || most->is_null()) most = body.if_contains("max_tokens");
  if (most != nullptr && !most->is_null()) out.inputs["max_tokens"] = *most;

  for (auto& [key, value] : body) {
    const std::string_view name = key;
    if (name == "max_tokens" || name == "max_completion_tokens") continue;
    if (take_shared_parameter(name, value, out)) continue;
    if (std::find(kNotServed.begin(), kNotServed.end(), name) != kNotServed.end()) {
      if (!is_neutral(name, value)) not_served_parameter(name);
      continue;
    }
    if (name == "messages") rename_developer_role(value);
    if (name == "response_format" && value.is_null()) continue;
    out.inputs[key] = std::move(value);  // an unknown one: the Runner names it in its notes
  }
  return out;
}

}  // namespace glia::api
