#include "api/openai/chat_request.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace glia::api {
namespace {

[[noreturn]] void refuse(std::string_view param, std::string_view why) {
  throw Error(ErrorCode::invalid_input, std::string(param) + ": " + std::string(why));
}

/// Parameters whose values go on under the same name.
constexpr std::array<std::string_view, 10> kSame = {
    "temperature", "top_p", "frequency_penalty",  "presence_penalty", "stop", "response_format",
    "top_k",       "min_p", "repetition_penalty", "messages"};

/// Parameters that say nothing about the answer: bookkeeping of OpenAI's own service.
constexpr std::array<std::string_view, 6> kBookkeeping = {"user",         "metadata",          "store",
                                                          "service_tier", "safety_identifier", "prompt_cache_key"};

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

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Values that leave the answer as it is.
bool asks_for_nothing(std::string_view name, const json::value& value) {
  if (value.is_null()) return true;
  if (value.is_array()) {
    const bool text_only = value.get_array().size() == 1 && value.get_array()[0] == json::value("text");
    return value.get_array().empty() || (name == "modalities" && text_only);
  }
  if (value.is_object()) return value.get_object().empty();
  if (value.is_bool()) return !value.get_bool() || name == "parallel_tool_calls";
  if (value.is_string()) {
    const std::string_view text = value.get_string();
    return (name == "tool_choice" || name == "function_call") && (text == "none" || text == "auto");
  }
  if (value.is_number()) return value.to_number<double>() == (name == "n" ? 1 : 0);
  return false;
}

/// The catalogue takes seeds from 1 to 9999999999, OpenAI any integer: those outside are folded into the range.
json::value folded_seed(const json::value& value) {
  constexpr std::uint64_t kRange = 9'999'999'999;
  if (!value.is_int64() && !value.is_uint64()) return value;  // the schema says what is wrong
  const auto bits = value.is_int64() ? static_cast<std::uint64_t>(value.get_int64()) : value.get_uint64();
  return bits >= 1 && bits <= kRange ? json::value(bits) : json::value(bits % kRange + 1);
}

void read_stream_options(const json::value& value, ChatRequest& out) {
  if (value.is_null()) return;
  if (!value.is_object()) refuse("stream_options", "an object is expected");
  for (const auto& [key, option] : value.get_object()) {
    const std::string name = "stream_options." + std::string(key);
    if (key == "include_usage" || key == "include_obfuscation") {
      if (!option.is_bool()) refuse(name, "true or false is expected");
      if (key == "include_usage") out.include_usage = option.get_bool();
    } else {
      out.notes.push_back("unknown parameter ignored: " + name);
    }
  }
}

/// OpenAI's newer name for instructions; templates know "system".
void rename_developer_role(json::value& messages) {
  if (!messages.is_array()) return;
  for (auto& message : messages.get_array()) {
    auto* object = message.if_object();
    auto* role = object == nullptr ? nullptr : object->if_contains("role");
    if (role != nullptr && role->is_string() && role->get_string() == "developer") *role = "system";
  }
}

}  // namespace

ChatRequest read_chat_request(json::object body) {
  ChatRequest out;
  const auto* model = body.if_contains("model");
  if (model == nullptr) refuse("model", "missing");
  if (!model->is_string() || model->get_string().empty()) refuse("model", "a model id is expected");
  out.model = std::string(model->get_string());
  if (!body.contains("messages")) refuse("messages", "missing");
  const json::value* most = body.if_contains("max_completion_tokens");
  if (most == nullptr || most->is_null()) most = body.if_contains("max_tokens");
  if (most != nullptr && !most->is_null()) out.inputs["max_tokens"] = *most;

  for (auto& [key, value] : body) {
    const std::string_view name = key;
    if (name == "model" || name == "max_tokens" || name == "max_completion_tokens") continue;
    if (name == "stream") {
      if (!value.is_bool() && !value.is_null()) refuse("stream", "true or false is expected");
      out.stream = value.is_bool() && value.get_bool();
    } else if (name == "stream_options") {
      read_stream_options(value, out);
    } else if (name == "seed") {
      if (!value.is_null()) out.inputs["seed"] = folded_seed(value);
    } else if (contains(kSame, name)) {
      if (name == "messages") rename_developer_role(value);
      if (!value.is_null()) out.inputs[key] = std::move(value);
    } else if (contains(kNotServed, name)) {
      if (!asks_for_nothing(name, value)) refuse(name, "not served by this version of Glia");
    } else if (!contains(kBookkeeping, name)) {
      out.inputs[key] = std::move(value);  // the Runner knows it, or names it in its notes
    }
  }
  return out;
}

}  // namespace glia::api
