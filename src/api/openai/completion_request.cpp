#include "api/openai/completion_request.h"

namespace glia::api {
namespace {

json::string read_prompt(json::value& prompt) {
  if (prompt.is_string()) return std::move(prompt.get_string());
  if (!prompt.is_array()) refuse_parameter("prompt", "text is expected");
  auto& prompts = prompt.get_array();
  if (prompts.empty()) refuse_parameter("prompt", "text is expected");
  if (prompts[0].is_number() || prompts[0].is_array()) {
    refuse_parameter("prompt", "token ids are not served by this version of Glia, text is");
  }
  if (!prompts[0].is_string()) refuse_parameter("prompt", "text is expected");
  if (prompts.size() > 1) {
    refuse_parameter("prompt",
                     "several prompts in one call are not served by this version of Glia; call once for each");
  }
  return std::move(prompts[0].get_string());
}

bool is_neutral(std::string_view name, const json::value& value) {
  if ((name == "n" || name == "best_of") && value.is_number()) return value.to_number<double>() == 1;
  if (name == "suffix" && value.is_string()) return value.get_string().empty();
  if (name == "logprobs" && value.is_number()) return false;  // 0 asks for the chosen tokens' own
  return asks_for_nothing(value);
}

bool is_not_served(std::string_view name) {
  return name == "n" || name == "best_of" || name == "suffix" || name == "logprobs" || name == "logit_bias";
}

}  // namespace

CompletionRequest read_completion_request(json::object body) {
  CompletionRequest out;
  out.model = model_of(body);
  auto* prompt = body.if_contains("prompt");
  if (prompt == nullptr || prompt->is_null()) refuse_parameter("prompt", "missing");
  const json::string text = read_prompt(*prompt);
  out.inputs["prompt"] = text;
  out.inputs["raw"] = true;

  for (auto& [key, value] : body) {
    const std::string_view name = key;
    if (name == "prompt" || take_shared_parameter(name, value, out)) continue;
    if (name == "echo") {
      if (!value.is_bool() && !value.is_null()) refuse_parameter(name, "true or false is expected");
      if (value.is_bool() && value.get_bool()) out.echo = std::string(text);
    } else if (is_not_served(name)) {
      if (!is_neutral(name, value)) not_served_parameter(name);
    } else if (name != "max_tokens" || !value.is_null()) {
      out.inputs[key] = std::move(value);  // an unknown one: the Runner names it in its notes
    }
  }
  return out;
}

}  // namespace glia::api
