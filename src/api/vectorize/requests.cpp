#include "api/vectorize/requests.h"

#include <algorithm>

#include "api/reply.h"
#include "api/run_request.h"
#include "http/multipart.h"

namespace glia::api {
namespace {

using vectorize::Limits;
using vectorize::MetadataLevel;

constexpr std::string_view kNotJson = "Failed to parse the request body as JSON: ";
constexpr std::string_view kBadConfig = "vectorize.index.invalid_config - ";

Error bad_query(const std::string& why) {
  return Error::worded(ErrorCode::vectorize_query_json, std::string(kNotJson) + why);
}
Error bad_config(const std::string& why) {
  return Error::worded(ErrorCode::vectorize_invalid_config, std::string(kBadConfig) + why);
}

json::object object_of(std::string_view body) {
  try {
    return parse_object(body);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::request_too_large) throw;
    throw bad_query(error.detail());
  }
}

void note_unknown(std::string_view key, std::vector<std::string>& notes) {
  if (notes.size() < 16) notes.push_back("unknown field ignored: " + printable(key, 60));
}

std::string text_of(const json::value& value, const std::string& field) {
  if (!value.is_string()) throw bad_query(field + ": a string is expected");
  return std::string(value.get_string());
}

bool flag_of(const json::value& value, const std::string& field) {
  if (!value.is_bool()) throw bad_query(field + ": expected boolean");
  return value.get_bool();
}

MetadataLevel level_of(const json::value& value) {
  if (value.is_string()) {
    const std::string_view name = value.get_string();
    if (name == "none") return MetadataLevel::none;
    if (name == "indexed") return MetadataLevel::indexed;
    if (name == "all") return MetadataLevel::all;
  }
  throw bad_query("returnMetadata: expected value");
}

std::int64_t top_k_of(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double() &&
      value.get_double() == static_cast<double>(static_cast<std::int64_t>(std::clamp(value.get_double(), -1e9, 1e9)))) {
    return static_cast<std::int64_t>(value.get_double());
  }
  throw bad_query("topK: a whole number is expected");
}

void check_top_k(std::int64_t top_k, const vectorize::Query& query, const Limits& limits) {
  const auto refuse = [](const std::string& text) { return Error::worded(ErrorCode::vectorize_top_k, text); };
  if (top_k < 1) throw refuse("min top K is 1, but got " + std::to_string(top_k));
  if (top_k > limits.top_k) {
    throw refuse("max top K is " + std::to_string(limits.top_k) + ", but got " + std::to_string(top_k));
  }
  if ((query.values || query.metadata == MetadataLevel::all) && top_k > limits.top_k_with_values) {
    throw refuse("with returnValues=true or returnMetadata=all, max top K is " +
                 std::to_string(limits.top_k_with_values) + ", but got " + std::to_string(top_k) +
                 "; for a top K up to " + std::to_string(limits.top_k) +
                 ", retry with returnValues=false and returnMetadata=indexed");
  }
}

vectorize::IndexConfig parse_config(const json::value* value) {
  if (value == nullptr || !value->is_object()) throw bad_config("Config must be provided");
  const auto& config = value->get_object();
  if (const auto* preset = config.if_contains("preset")) {
    const auto known = preset->is_string() ? vectorize::preset_config(preset->get_string()) : std::nullopt;
    if (!known) throw bad_config("Unknown preset");
    return *known;
  }
  const auto* dimensions = config.if_contains("dimensions");
  const auto* metric = config.if_contains("metric");
  if (dimensions == nullptr || !dimensions->is_int64()) throw bad_config("Dimensions must be a whole number");
  const auto known =
      metric != nullptr && metric->is_string() ? vectorize::metric_of(metric->get_string()) : std::nullopt;
  if (!known) throw bad_config("Metric must be one of cosine, euclidean, dot-product");
  return {static_cast<std::int32_t>(std::clamp<std::int64_t>(dimensions->get_int64(), -1, 1 << 30)), *known};
}

}  // namespace

NewIndex parse_new_index(std::string_view body, std::vector<std::string>& notes) {
  const json::object object = object_of(body);
  NewIndex index;
  const json::value* config = nullptr;
  for (const auto& [key, value] : object) {
    if (key == "name") {
      if (!value.is_string()) throw bad_config("Index name must be a string");
      index.name = value.get_string();
    } else if (key == "description") {
      if (value.is_null()) continue;
      if (!value.is_string() || value.get_string().size() > 1024) {
        throw bad_config("Description must be a string of at most 1024 bytes");
      }
      index.description = value.get_string();
    } else if (key == "config") {
      config = &value;
    } else {
      note_unknown(key, notes);
    }
  }
  index.config = parse_config(config);
  return index;
}

vectorize::Query parse_vector_query(std::string_view body, std::int32_t dimensions, const Limits& limits,
                                    std::vector<std::string>& notes) {
  const json::object object = object_of(body);
  vectorize::Query query;
  std::int64_t top_k = 5;
  const json::value* vector = nullptr;
  for (const auto& [key, value] : object) {
    const std::string_view name = key;
    if (name == "vector") {
      vector = &value;
    } else if (value.is_null() && name != "returnMetadata") {
      continue;  // as if it were not said
    } else if (name == "vectorId") {
      query.vector_id = text_of(value, "vectorId");
    } else if (name == "topK") {
      top_k = top_k_of(value);
    } else if (name == "namespace") {
      query.ns = text_of(value, "namespace");
    } else if (name == "filter") {
      query.filter = vectorize::parse_filter(value, limits);
    } else if (name == "returnValues") {
      query.values = flag_of(value, "returnValues");
    } else if (name == "returnMetadata") {
      query.metadata = level_of(value);
    } else {
      note_unknown(name, notes);
    }
  }
  if (query.ns && query.ns->empty()) query.ns.reset();
  if ((vector != nullptr) == query.vector_id.has_value()) throw bad_query("one of vector and vectorId is expected");
  if (vector != nullptr) query.vector = vectorize::parse_query_values(*vector, dimensions);
  check_top_k(top_k, query, limits);
  query.top_k = static_cast<std::size_t>(top_k);
  return query;
}

std::vector<std::string> parse_ids(std::string_view body, std::size_t most) {
  const json::object object = object_of(body);
  const auto* list = object.if_contains("ids");
  if (list == nullptr || !list->is_array()) throw bad_query("ids: a list of strings is expected");
  const auto& array = list->get_array();
  if (array.size() > most) {
    throw Error::worded(
        ErrorCode::vectorize_too_many,
        "too many ids in payload; max id count is " + std::to_string(most) + ", got " + std::to_string(array.size()));
  }
  std::vector<std::string> ids;
  for (const auto& id : array) ids.push_back(text_of(id, "ids"));
  if (ids.empty()) throw bad_query("ids: there is none");
  return ids;
}

vectorize::MetadataIndex parse_metadata_index(std::string_view body, bool with_type) {
  const json::object object = object_of(body);
  const auto* name = object.if_contains("propertyName");
  if (name == nullptr || !name->is_string()) throw bad_query("propertyName: a string is expected");
  vectorize::MetadataIndex index;
  index.property = name->get_string();
  const bool bad = index.property.empty() || index.property.size() > vectorize::kFilterKeyLength ||
                   index.property.front() == '$' || index.property.find_first_of("\"|") != std::string::npos;
  if (bad) throw bad_config("Property name must be 1 to 512 bytes, not start with `$` and not hold `\"` or `|`");
  if (!with_type) return index;
  const auto* type = object.if_contains("indexType");
  std::string lower = type != nullptr && type->is_string() ? std::string(type->get_string()) : std::string();
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  const auto known = vectorize::type_of(lower);
  if (!known) throw bad_query("indexType: one of string, number, boolean is expected");
  index.type = *known;
  return index;
}

vectorize::ParsedVectors parse_upload(const http::Request& request, vectorize::VectorRules rules) {
  if (request.body.size() > rules.limits.upload_bytes) {
    throw Error(ErrorCode::request_too_large,
                "vectors are taken up to " + std::to_string(rules.limits.upload_bytes) + " bytes at a time");
  }
  const auto behaviour = request.param("unparsable-behavior").value_or("error");
  if (behaviour != "error" && behaviour != "discard") {
    throw bad_query("unparsable-behavior: error or discard is expected");
  }
  rules.discard_unparsable = behaviour == "discard";
  const std::string type(request.header("content-type").value_or(""));
  if (type.starts_with("application/json")) throw Error(ErrorCode::vectorize_content_type);
  if (!type.starts_with("multipart/")) return vectorize::parse_ndjson(request.body, rules);
  const auto boundary = http::form_boundary(type);
  if (!boundary) throw Error(ErrorCode::vectorize_content_type);
  for (const auto& part : http::parse_form(request.body, *boundary)) {
    if (part.name == "vectors") return vectorize::parse_ndjson(part.data, rules);
  }
  throw Error::worded(ErrorCode::vectorize_vectors_json,
                      "failed to parse vectors request: the form has no field `vectors`");
}

}  // namespace glia::api
