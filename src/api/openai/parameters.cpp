#include "api/openai/parameters.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/error.h"

namespace glia::api {
namespace {

/// Parameters whose values go on under the same name.
constexpr std::array<std::string_view, 8> kSame = {
    "temperature", "top_p", "frequency_penalty", "presence_penalty", "stop", "top_k", "min_p", "repetition_penalty"};

/// Parameters that say nothing about the answer: bookkeeping of OpenAI's own service.
constexpr std::array<std::string_view, 6> kBookkeeping = {"user",         "metadata",          "store",
                                                          "service_tier", "safety_identifier", "prompt_cache_key"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The catalogue takes seeds from 1 to 9999999999, OpenAI any integer: those outside are folded into the range.
json::value folded_seed(const json::value& value) {
  constexpr std::uint64_t kRange = 9'999'999'999;
  if (!value.is_int64() && !value.is_uint64()) return value;  // the schema says what is wrong
  const auto bits = value.is_int64() ? static_cast<std::uint64_t>(value.get_int64()) : value.get_uint64();
  return bits >= 1 && bits <= kRange ? json::value(bits) : json::value(bits % kRange + 1);
}

void read_stream_options(const json::value& value, OpenAiRequest& out) {
  if (value.is_null()) return;
  if (!value.is_object()) refuse_parameter("stream_options", "an object is expected");
  for (const auto& [key, option] : value.get_object()) {
    const std::string name = "stream_options." + std::string(key);
    if (key == "include_usage" || key == "include_obfuscation") {
      if (!option.is_bool()) refuse_parameter(name, "true or false is expected");
      if (key == "include_usage") out.include_usage = option.get_bool();
    } else {
      out.notes.push_back("unknown parameter ignored: " + name);
    }
  }
}

}  // namespace

void refuse_parameter(std::string_view name, std::string_view why) {
  throw Error(ErrorCode::invalid_input, std::string(name) + ": " + std::string(why));
}

void not_served_parameter(std::string_view name) { refuse_parameter(name, "not served by this version of Glia"); }

std::string model_of(const json::object& body) {
  const auto* model = body.if_contains("model");
  if (model == nullptr) refuse_parameter("model", "missing");
  if (!model->is_string() || model->get_string().empty()) refuse_parameter("model", "a model id is expected");
  return std::string(model->get_string());
}

bool take_shared_parameter(std::string_view name, json::value& value, OpenAiRequest& out) {
  if (name == "model" || contains(kBookkeeping, name)) return true;
  if (name == "stream") {
    if (!value.is_bool() && !value.is_null()) refuse_parameter(name, "true or false is expected");
    out.stream = value.is_bool() && value.get_bool();
  } else if (name == "stream_options") {
    read_stream_options(value, out);
  } else if (name == "options") {
    out.options = std::move(value);
  } else if (name == "seed") {
    if (!value.is_null()) out.inputs["seed"] = folded_seed(value);
  } else if (contains(kSame, name)) {
    if (!value.is_null()) out.inputs[name] = std::move(value);
  } else {
    return false;
  }
  return true;
}

bool asks_for_nothing(const json::value& value) {
  if (value.is_null()) return true;
  if (value.is_array()) return value.get_array().empty();
  if (value.is_object()) return value.get_object().empty();
  if (value.is_bool()) return !value.get_bool();
  return value.is_number() && value.to_number<double>() == 0;
}

void rename_developer_role(json::value& messages) {
  if (!messages.is_array()) return;
  for (auto& message : messages.get_array()) {
    auto* object = message.if_object();
    auto* role = object == nullptr ? nullptr : object->if_contains("role");
    if (role != nullptr && role->is_string() && role->get_string() == "developer") *role = "system";
  }
}

}  // namespace glia::api
