#include "vectorize/vector_text.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "vectorize/compact_json.h"

namespace glia::vectorize {
namespace {

std::string kind_name(WriteKind kind) { return kind == WriteKind::insert ? "insert" : "upsert"; }

Error unparsable(const VectorRules& rules, const std::string& where, const std::string& why) {
  std::string text = "failed to parse " + kind_name(rules.kind) + " vectors request in json format";
  if (!where.empty()) text += ": " + where;
  return Error::worded(ErrorCode::vectorize_vectors_json, text + ": " + why);
}

Error invalid(std::string_view id, const std::string& why) {
  return Error::worded(ErrorCode::vectorize_invalid_vector,
                       "invalid vector for id=\"" + std::string(id) + "\", " + why);
}

Error too_long(ErrorCode code, const std::string& what, std::size_t most, std::size_t got) {
  return Error::worded(
      code, what + " too long; max is " + std::to_string(most) + " bytes, got " + std::to_string(got) + " bytes");
}

/// One vector's line or item; `where` says which.
class VectorReader {
 public:
  VectorReader(const VectorRules& rules, std::string where) : rules_(rules), where_(std::move(where)) {}

  Vector read(const json::value& value, std::vector<std::string>* unknown) const {
    if (!value.is_object()) throw unparsable(rules_, where_, "an object is expected");
    Vector vector;
    const json::value* values = nullptr;
    const json::value* metadata = nullptr;
    for (const auto& [key, item] : value.get_object()) {
      const std::string_view name = key;
      if (name == "id") {
        if (!item.is_string()) throw unparsable(rules_, where_, "id: a string is expected");
        vector.id = item.get_string();
      } else if (name == "values") {
        values = &item;
      } else if (name == "namespace") {
        read_namespace(item, vector);
      } else if (name == "metadata") {
        metadata = &item;
      } else if (unknown != nullptr && unknown->size() < 8) {
        unknown->emplace_back(name.substr(0, 64));
      }
    }
    check_id(vector.id);
    if (values == nullptr) throw unparsable(rules_, where_, "values: missing");
    read_values(*values, vector);
    if (metadata != nullptr && !metadata->is_null()) read_metadata(*metadata, vector);
    return vector;
  }

 private:
  void check_id(const std::string& id) const {
    if (id.empty()) throw unparsable(rules_, where_, "id: missing or empty");
    if (id.size() > rules_.limits.id_bytes) {
      throw too_long(ErrorCode::vectorize_id_too_long, "id", rules_.limits.id_bytes, id.size());
    }
  }

  void read_namespace(const json::value& item, Vector& vector) const {
    if (item.is_null()) return;
    if (!item.is_string()) throw unparsable(rules_, where_, "namespace: a string is expected");
    const std::string_view text = item.get_string();
    if (text.size() > rules_.limits.namespace_bytes) {
      throw too_long(ErrorCode::vectorize_namespace_too_long, "namespace", rules_.limits.namespace_bytes, text.size());
    }
    if (!text.empty()) vector.ns = text;
  }

  void read_values(const json::value& item, Vector& vector) const {
    if (!item.is_array()) throw unparsable(rules_, where_, "values: a list of numbers is expected");
    const auto& array = item.get_array();
    const auto dimensions = static_cast<std::size_t>(rules_.dimensions);
    if (dimensions > 0 && array.size() != dimensions) {
      throw invalid(vector.id, "expected " + std::to_string(dimensions) + " dimensions, and got " +
                                   std::to_string(array.size()) + " dimensions");
    }
    vector.values.reserve(array.size());
    for (const auto& number : array) {
      if (!number.is_number()) throw unparsable(rules_, where_, "values: a list of numbers is expected");
      const auto value = static_cast<float>(number.to_number<double>());
      if (!std::isfinite(value)) throw invalid(vector.id, "values must be finite float32 numbers");
      vector.values.push_back(value);
    }
  }

  void read_metadata(const json::value& item, Vector& vector) const {
    if (!item.is_object()) throw unparsable(rules_, where_, "metadata: an object is expected");
    for (const auto& [key, value] : item.get_object()) {
      const std::string_view name = key;
      if (name.empty() || name.front() == '$' || name.find('.') != std::string_view::npos ||
          name.find('"') != std::string_view::npos) {
        throw invalid(vector.id, "metadata keys must not be empty, hold `.` or `\"`, or start with `$`");
      }
    }
    if (item.get_object().empty()) return;
    vector.metadata = compact_json(item);
    if (vector.metadata.size() > rules_.limits.metadata_bytes) {
      throw Error::worded(ErrorCode::vectorize_metadata_size,
                          "oversized metadata for vector id=\"" + vector.id +
                              "\"; the compact JSON representation of the metadata must not exceed " +
                              std::to_string(rules_.limits.metadata_bytes) + " bytes, got " +
                              std::to_string(vector.metadata.size()) + " bytes");
    }
  }

  const VectorRules& rules_;
  std::string where_;
};

void check_count(std::size_t count, const VectorRules& rules) {
  if (count <= rules.most_vectors) return;
  throw Error::worded(
      ErrorCode::vectorize_too_many,
      "too many vectors in payload; max is " + std::to_string(rules.most_vectors) + ", got " + std::to_string(count));
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

/// What parse_json says is wrong, in this dialect.
json::value parsed(std::string_view text, const VectorRules& rules, const std::string& where) {
  try {
    return parse_json(text);
  } catch (const Error& error) {
    throw unparsable(rules, where, error.detail());
  }
}

/// Takes the dimensions of the first vector where the rules leave them open.
void settle_dimensions(VectorRules& rules, const Vector& vector) {
  if (rules.dimensions == 0) rules.dimensions = static_cast<std::int32_t>(vector.values.size());
}

/// Calls body(line, number) for each line that is not blank.
template <class Body>
void for_each_line(std::string_view text, Body&& body) {
  std::size_t number = 1;
  for (std::size_t at = 0; at < text.size(); ++number) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto line = text.substr(at, end - at);
    if (!is_blank(line)) body(line, number);
    at = end + 1;
  }
}

}  // namespace

ParsedVectors parse_ndjson(std::string_view text, const VectorRules& given) {
  std::size_t lines = 0;
  for_each_line(text, [&lines](std::string_view, std::size_t) { ++lines; });
  check_count(lines, given);
  VectorRules rules = given;
  ParsedVectors out;
  out.vectors.reserve(lines);
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    const std::string where = "line " + std::to_string(number);
    try {
      auto* unknown = out.unknown_fields.empty() ? &out.unknown_fields : nullptr;
      out.vectors.push_back(VectorReader(rules, where).read(parsed(line, rules, where), unknown));
      settle_dimensions(rules, out.vectors.back());
    } catch (const Error& error) {
      if (!rules.discard_unparsable || error.code() != ErrorCode::vectorize_vectors_json) throw;
      ++out.discarded;
    }
  });
  if (out.vectors.empty()) throw unparsable(rules, {}, "there is no vector in the body");
  return out;
}

ParsedVectors parse_vectors_object(std::string_view text, const VectorRules& given) {
  VectorRules rules = given;
  const json::value body = parsed(text, rules, {});
  const auto* vectors = body.is_object() ? body.get_object().if_contains("vectors") : nullptr;
  if (vectors == nullptr || !vectors->is_array()) throw unparsable(rules, "vectors", "a list is expected");
  check_count(vectors->get_array().size(), rules);
  ParsedVectors out;
  for (const auto& item : vectors->get_array()) {
    const std::string where = "vectors[" + std::to_string(out.vectors.size()) + "]";
    out.vectors.push_back(VectorReader(rules, where).read(item, &out.unknown_fields));
    settle_dimensions(rules, out.vectors.back());
  }
  if (out.vectors.empty()) throw unparsable(rules, {}, "there is no vector in the body");
  return out;
}

std::vector<float> parse_query_values(const json::value& value, std::int32_t dimensions) {
  const auto refuse = [](const std::string& why) {
    return Error::worded(ErrorCode::vectorize_query_json, "Failed to parse the request body as JSON: vector: " + why);
  };
  if (!value.is_array()) throw refuse("a list of numbers is expected");
  const auto& array = value.get_array();
  if (dimensions > 0 && array.size() != static_cast<std::size_t>(dimensions)) {
    throw Error::worded(ErrorCode::vectorize_query_vector, "invalid query vector, expected " +
                                                               std::to_string(dimensions) + " dimensions, and got " +
                                                               std::to_string(array.size()) + " dimensions");
  }
  std::vector<float> values;
  values.reserve(array.size());
  for (const auto& number : array) {
    if (!number.is_number()) throw refuse("a list of numbers is expected");
    values.push_back(static_cast<float>(number.to_number<double>()));
    if (!std::isfinite(values.back())) throw refuse("values must be finite float32 numbers");
  }
  return values;
}

}  // namespace glia::vectorize
