#include "api/rest/model_schema.h"

#include <string>

#include "base/error.h"

namespace glia::api {
namespace {

constexpr std::string_view kTextOutput = R"json({
  "oneOf": [
    {"type": "object", "contentType": "application/json", "required": ["response", "usage"], "properties": {
      "response": {"type": "string", "description": "The generated text"},
      "usage": {"type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"], "properties": {
        "prompt_tokens": {"type": "integer"},
        "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": {"type": "integer"}}}
      }}
    }},
    {"type": "string", "contentType": "text/event-stream", "format": "binary"}
  ]
})json";

/// Keywords that only the catalogue's own checker reads.
json::value published(const json::value& from) {
  if (const auto* array = from.if_array()) {
    json::array out;
    for (const auto& item : *array) out.push_back(published(item));
    return out;
  }
  const auto* object = from.if_object();
  if (object == nullptr) return from;
  json::object out;
  for (const auto& [key, value] : *object) {
    if (!std::string_view(key).starts_with("x-")) out[key] = published(value);
  }
  return out;
}

}  // namespace

json::object model_schema(const catalog::Catalog& catalog, std::string_view model) {
  const auto* entry = catalog.find(model);
  if (entry == nullptr) throw Error(ErrorCode::no_such_model, model);
  const auto* input = catalog.input_schema(*entry);
  if (input == nullptr) throw Error(ErrorCode::not_served, entry->task + " with " + entry->id);
  return {{"input", published(*input)}, {"output", parse_json(kTextOutput)}};
}

}  // namespace glia::api
