#include "formats/json_text.h"

#include <cstddef>
#include <string>
#include <utility>

#include "base/error.h"

namespace glia::formats {
namespace {

std::size_t count_members(const json::value& value) {
  std::size_t n = 0;
  if (const auto* object = value.if_object()) {
    n = object->size();
    for (const auto& member : *object) n += count_members(member.value());
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) n += count_members(element);
  }
  return n;
}

/// Members as written: in valid JSON every colon outside a string belongs to one.
std::size_t count_colons(std::string_view text) {
  std::size_t n = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (in_string && text[i] == '\\') {
      i++;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text[i] == ':') {
      n++;
    }
  }
  return n;
}

}  // namespace

json::value parse_json_file(std::string_view text, std::string_view what) {
  const std::string who(what);
  json::value value;
  try {
    value = parse_json(text);
  } catch (const Error& e) {
    // The parser speaks of a request's body; keep its reason in brackets.
    const auto bracket = e.detail().find('(');
    throw Error(ErrorCode::model_unavailable,
                who + " is not valid JSON " + (bracket == std::string::npos ? "" : e.detail().substr(bracket)));
  }
  if (count_colons(text) != count_members(value)) {
    throw Error(ErrorCode::model_unavailable, who + " has a name twice in one object");
  }
  return value;
}

json::object parse_json_object(std::string_view text, std::string_view what) {
  json::value value = parse_json_file(text, what);
  if (!value.is_object()) throw Error(ErrorCode::model_unavailable, std::string(what) + " is not a JSON object");
  return std::move(value.as_object());
}

}  // namespace glia::formats
