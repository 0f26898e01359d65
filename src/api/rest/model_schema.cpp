#include "api/rest/model_schema.h"

#include <string>

#include "base/error.h"

namespace glia::api {
namespace {

/// Without the keywords that only the catalogue's own checker reads.
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

/// With the other ways in: a body that is no JSON, a batch.
json::value whole_input(const catalog::Catalog& catalog, const catalog::ModelEntry& entry) {
  json::value input = published(catalog.input_schema(entry));
  json::array ways;
  if (!entry.raw_body.empty()) {
    ways.push_back(json::object{{"type", "string"}, {"format", "binary"}, {"contentType", entry.raw_body}});
  }
  if (entry.takes_batches()) {
    ways.push_back(
        json::object{{"title", "Batch"},
                     {"type", "object"},
                     {"required", json::array{"requests"}},
                     {"properties", json::object{{"requests", json::object{{"type", "array"}, {"items", input}}}}}});
  }
  if (ways.empty()) return input;
  ways.insert(ways.begin(), std::move(input));
  return json::object{{"oneOf", std::move(ways)}};
}

}  // namespace

json::object model_schema(const catalog::Catalog& catalog, std::string_view model) {
  const auto* entry = catalog.find(model);
  if (entry == nullptr) throw Error(ErrorCode::no_such_model, model);
  return {{"input", whole_input(catalog, *entry)}, {"output", published(catalog.output_schema(*entry))}};
}

}  // namespace glia::api
