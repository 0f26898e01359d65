#include "tasks/text_generation_input.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace glia::tasks {
namespace {

[[noreturn]] void refuse(const std::string& field, std::string_view why) {
  throw Error(ErrorCode::invalid_input, field + ": " + std::string(why));
}

/// Null, [] and {} ask for nothing.
bool asks(const json::object& inputs, std::string_view field) {
  const auto* const v = inputs.if_contains(field);
  if (v == nullptr || v->is_null()) return false;
  if (v->is_array()) return !v->get_array().empty();
  if (v->is_object()) return !v->get_object().empty();
  if (v->is_string()) return !v->get_string().empty();
  return true;
}

void refuse_what_is_not_served(const json::object& inputs) {
  if (asks(inputs, "lora")) throw Error(ErrorCode::lora_unsupported);
  for (const auto* field : {"tools", "functions"}) {
    if (asks(inputs, field)) refuse(field, "tool calling is not served by this version of Glia");
  }
  if (asks(inputs, "guided_json")) refuse("guided_json", "structured output is not served by this version of Glia");
  if (asks(inputs, "response_format")) {
    const auto* const type = inputs.at("response_format").as_object().if_contains("type");
    if (type == nullptr || type->as_string() != "text") {
      refuse("response_format.type", "only \"text\" is served by this version of Glia");
    }
  }
  if (asks(inputs, "input")) refuse("input", "the Responses form is not served by this version of Glia; use messages");
}

std::string text_of(const json::object& part, const std::string& at) {
  const std::string_view type = part.at("type").as_string();
  if (type == "refusal") return std::string(part.at("refusal").as_string());  // what the assistant said before
  if (type != "text") refuse(at + ".type", "this model takes text only, no pictures, sound or files");
  return std::string(part.at("text").as_string());
}

std::string flattened(const json::value& content, const std::string& at) {
  if (content.is_null()) return {};
  if (content.is_string()) return std::string(content.get_string());
  if (content.is_object()) return text_of(content.get_object(), at);
  std::string text;
  const auto& parts = content.as_array();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += '\n';
    text += text_of(parts[i].as_object(), at + "[" + std::to_string(i) + "]");
  }
  return text;
}

json::array read_messages(json::array messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    auto& message = messages[i].as_object();
    const auto at = "messages[" + std::to_string(i) + "]";
    for (const auto* field : {"tool_calls", "function_call"}) {
      if (asks(message, field)) refuse(at + "." + field, "tool calling is not served by this version of Glia");
      message.erase(field);  // empty: templates would take it for a call
    }
    if (message.at("role").as_string() == "tool") {
      refuse(at + ".role", "tool results are not served by this version of Glia");
    }
    message["content"] = flattened(message["content"], at + ".content");
  }
  return messages;
}

template <class T>
T number(const json::object& inputs, std::string_view field, T otherwise) {
  const auto* const v = inputs.if_contains(field);
  return v == nullptr ? otherwise : static_cast<T>(v->to_number<double>());
}

/// A number of tokens. The schema leaves only those that no window holds as anything but int64 (1e300, 2^64 - 1).
std::int64_t read_count(const json::value& v) {
  const auto* const n = v.if_int64();
  return n != nullptr ? *n : std::numeric_limits<std::int64_t>::max();
}

engine::Sampling read_sampling(const json::object& inputs) {
  engine::Sampling s;
  s.temperature = number(inputs, "temperature", 0.6F);
  s.top_k = number(inputs, "top_k", 0);
  s.top_p = std::min(number(inputs, "top_p", 1.0F), 1.0F);  // the service takes up to 2; all of it is 1
  s.min_p = number(inputs, "min_p", 0.0F);
  s.repetition_penalty = number(inputs, "repetition_penalty", 1.0F);
  if (s.repetition_penalty == 0) s.repetition_penalty = 1;  // the service takes 0; nothing can be divided by it: off
  s.frequency_penalty = number(inputs, "frequency_penalty", 0.0F);
  s.presence_penalty = number(inputs, "presence_penalty", 0.0F);
  if (const auto* const seed = inputs.if_contains("seed"))
    s.seed = static_cast<std::uint64_t>(seed->to_number<std::int64_t>());
  return s;
}

std::vector<std::string> read_stop(const json::object& inputs) {
  const auto* const stop = inputs.if_contains("stop");
  if (stop == nullptr || stop->is_null()) return {};
  if (stop->is_string()) return {std::string(stop->get_string())};
  std::vector<std::string> out;
  for (const auto& s : stop->as_array()) out.emplace_back(s.as_string());
  return out;
}

}  // namespace

TextGenerationInput read_text_generation(json::object inputs, bool max_tokens_given) {
  refuse_what_is_not_served(inputs);
  TextGenerationInput in;
  const auto* const newer_name = inputs.if_contains("max_completion_tokens");
  in.max_tokens = read_count(newer_name != nullptr ? *newer_name : inputs.at("max_tokens"));
  in.max_tokens_given = max_tokens_given || newer_name != nullptr;
  in.sampling = read_sampling(inputs);
  in.stop = read_stop(inputs);
  if (auto* const messages = inputs.if_contains("messages")) {
    in.messages = read_messages(std::move(messages->as_array()));
  } else if (inputs.at("raw").as_bool()) {
    in.raw_prompt = std::string(inputs.at("prompt").as_string());
  } else {
    in.messages.push_back(json::object{{"role", "user"}, {"content", inputs.at("prompt").as_string()}});
  }
  return in;
}

}  // namespace glia::tasks
