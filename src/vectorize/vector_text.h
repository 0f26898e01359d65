// Vectors as clients send them: a JSON object a line (NDJSON), or one JSON text.
//
// A vector: {"id", "values", "namespace"?, "metadata"?}. Everything is checked before anything is kept: sizes, counts,
// finite float32 values, the dimensions. Thread rule: pure functions. Errors: glia::Error in the service's words
// (vectorize_vectors_json for what is no JSON of that shape, and the codes of each limit).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "vectorize/limits.h"
#include "vectorize/types.h"

namespace glia::vectorize {

struct VectorRules {
  WriteKind kind = WriteKind::upsert;  ///< for the wording
  std::int32_t dimensions = 0;         ///< 0: those of the first vector
  std::size_t most_vectors = 1000;
  bool discard_unparsable = false;  ///< lines that are no vectors are left out instead of refused
  Limits limits;
};

struct ParsedVectors {
  std::vector<Vector> vectors;
  std::size_t discarded = 0;                ///< lines
  std::vector<std::string> unknown_fields;  ///< of the first vector that has some
};

ParsedVectors parse_ndjson(std::string_view text, const VectorRules& rules);

/// {"vectors": [...]}, as the first version of the binding sends them.
ParsedVectors parse_vectors_object(std::string_view text, const VectorRules& rules);

/// Values of a query. Errors: vectorize_query_json for what is no list of finite numbers, vectorize_query_vector for
/// other dimensions (0: any).
std::vector<float> parse_query_values(const json::value& value, std::int32_t dimensions);

}  // namespace glia::vectorize
