#include "api/openai/responses_request.h"

#include <algorithm>
#include <array>

namespace glia::api {
namespace {

/// Parameters that would change the answer and are not served, unless they ask for nothing.
constexpr std::array<std::string_view, 6> kNotServed = {"background", "conversation", "previous_response_id",
                                                        "prompt",     "tool_choice",  "truncation"};

/// Parameters that change nothing here and are named in a note.
constexpr std::array<std::string_view, 2> kNoted = {"include", "max_tool_calls"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view text_at(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view{};
}

/// A part of a message: input_text and output_text are text; a picture is passed on, and the task decides about it.
json::value read_part(const json::value& part, const std::string& at) {
  if (!part.is_object()) refuse_parameter(at, "an object is expected");
  const json::object& object = part.get_object();
  const std::string_view type = text_at(object, "type");
  if (type == "input_text" || type == "output_text" || type == "text") {
    if (!object.contains("text") || !object.at("text").is_string()) refuse_parameter(at + ".text", "text is expected");
    return json::object{{"type", "text"}, {"text", object.at("text")}};
  }
  if (type == "input_image") {
    const auto url = text_at(object, "image_url");
    if (url.empty()) refuse_parameter(at + ".image_url", "text is expected");
    return json::object{{"type", "image_url"}, {"image_url", json::object{{"url", url}}}};
  }
  refuse_parameter(at + ".type", "input_text, output_text or input_image is expected");
}

json::value read_content(const json::object& item, const std::string& at) {
  const auto* content = item.if_contains("content");
  if (content == nullptr) refuse_parameter(at, "missing");
  if (content->is_string()) return *content;
  if (!content->is_array() || content->get_array().empty()) refuse_parameter(at, "text or a list of parts is expected");
  json::array parts;
  for (const auto& part : content->get_array())
    parts.push_back(read_part(part, at + "[" + std::to_string(parts.size()) + "]"));
  return parts;
}

void read_item(const json::value& item, const std::string& at, json::array& messages, std::vector<std::string>& notes) {
  if (!item.is_object()) refuse_parameter(at, "an object is expected");
  const json::object& object = item.get_object();
  const std::string_view type = text_at(object, "type");
  if (type == "reasoning") {
    notes.push_back(at + ": reasoning of an earlier answer, left out");
    return;
  }
  if (type == "function_call" || type == "function_call_output") {
    refuse_parameter(at + ".type", "tool calling is not served by this version of Glia");
  }
  if (object.contains("type") && type != "message") refuse_parameter(at + ".type", "message is expected");
  const std::string_view role = text_at(object, "role");
  if (role.empty()) refuse_parameter(at + ".role", "missing");
  messages.push_back(json::object{{"role", role}, {"content", read_content(object, at + ".content")}});
}

void read_input(const json::value& input, json::array& messages, std::vector<std::string>& notes) {
  if (input.is_string()) {
    messages.push_back(json::object{{"role", "user"}, {"content", input}});
    return;
  }
  if (!input.is_array()) refuse_parameter("input", "text or a list of items is expected");
  std::size_t index = 0;
  for (const auto& item : input.get_array()) read_item(item, "input[" + std::to_string(index++) + "]", messages, notes);
  if (index == 0) refuse_parameter("input", "at least one item is expected");
}

/// The effort is a parameter of text generation; how a summary is written is not.
void read_reasoning(json::value& value, ResponsesRequest& out) {
  if (value.is_null()) return;
  if (!value.is_object()) refuse_parameter("reasoning", "an object is expected");
  for (auto& [key, option] : value.get_object()) {
    if (option.is_null()) continue;
    if (key == "effort") {
      if (!option.is_string()) refuse_parameter("reasoning.effort", "text is expected");
      out.inputs["reasoning_effort"] = option;
    } else {
      out.notes.push_back("reasoning." + std::string(key) + ": ignored");
    }
  }
}

/// OpenAI moved response_format here, its json_schema flattened.
void read_text(json::value& value, ResponsesRequest& out) {
  if (value.is_null()) return;
  if (!value.is_object()) refuse_parameter("text", "an object is expected");
  for (auto& [key, option] : value.get_object()) {
    if (option.is_null()) continue;
    if (key != "format") {
      out.notes.push_back("text." + std::string(key) + ": ignored");
      continue;
    }
    if (!option.is_object()) refuse_parameter("text.format", "an object is expected");
    json::object format = option.get_object();
    if (text_at(format, "type") == "text") continue;
    const json::value type = format.contains("type") ? format.at("type") : json::value(nullptr);
    format.erase("type");
    out.inputs["response_format"] = json::object{{"type", type}, {"json_schema", std::move(format)}};
  }
}

bool is_neutral(std::string_view name, const json::value& value) {
  if (name == "truncation" && value == json::value("disabled")) return true;
  if (name == "tool_choice" && (value == json::value("none") || value == json::value("auto"))) return true;
  return asks_for_nothing(value);
}

/// True when it was one of the Responses form's own.
bool take_own_parameter(std::string_view name, json::value& value, ResponsesRequest& out) {
  if (name == "input" || name == "instructions" || name == "parallel_tool_calls") return true;
  if (name == "max_output_tokens") {
    if (!value.is_null()) out.inputs["max_tokens"] = value;
  } else if (name == "reasoning") {
    read_reasoning(value, out);
  } else if (name == "text") {
    read_text(value, out);
  } else if (contains(kNotServed, name)) {
    if (!is_neutral(name, value)) not_served_parameter(name);
  } else if (contains(kNoted, name)) {
    if (!asks_for_nothing(value)) out.notes.push_back(std::string(name) + ": ignored");
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool is_responses_form(const json::object& inputs) {
  return inputs.contains("input") && !inputs.contains("messages") && !inputs.contains("prompt");
}

ResponsesRequest read_responses_request(json::object body) {
  ResponsesRequest out;
  json::array messages;
  if (const auto* instructions = body.if_contains("instructions"); instructions && !instructions->is_null()) {
    if (!instructions->is_string()) refuse_parameter("instructions", "text is expected");
    messages.push_back(json::object{{"role", "system"}, {"content", *instructions}});
  }
  const auto* input = body.if_contains("input");
  if (input == nullptr) refuse_parameter("input", "missing");
  read_input(*input, messages, out.notes);
  out.inputs["messages"] = std::move(messages);
  rename_developer_role(out.inputs["messages"]);
  for (const std::string_view name : {"instructions", "max_output_tokens", "reasoning", "temperature", "top_p"}) {
    const auto* value = body.if_contains(name);
    out.settings[name] = value == nullptr ? json::value(nullptr) : *value;
  }
  for (auto& [key, value] : body) {
    const std::string_view name = key;
    if (take_own_parameter(name, value, out) || take_shared_parameter(name, value, out)) continue;
    if (!value.is_null()) out.inputs[key] = std::move(value);  // the Runner knows it, or names it in its notes
  }
  return out;
}

}  // namespace glia::api
