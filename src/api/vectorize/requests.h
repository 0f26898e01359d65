// What clients ask Vectorize for, from JSON, NDJSON and forms to the room's values, within its limits.
// Errors: glia::Error with the service's codes and words. Unknown fields are noted by name, never dropped in silence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"
#include "vectorize/vector_text.h"
#include "vectorize/vectorize.h"

namespace glia::api {

struct NewIndex {
  std::string name;
  std::optional<std::string> description;
  vectorize::IndexConfig config;
};

/// {name, description?, config: {dimensions, metric} | {preset}}
NewIndex parse_new_index(std::string_view body, std::vector<std::string>& notes);

/// {vector | vectorId, topK?, namespace?, filter?, returnValues?, returnMetadata?}. `dimensions` of the index; 0: any.
vectorize::Query parse_vector_query(std::string_view body, std::int32_t dimensions, const vectorize::Limits& limits,
                                    std::vector<std::string>& notes);

/// {ids: [...]}
std::vector<std::string> parse_ids(std::string_view body, std::size_t most);

/// {propertyName, indexType}; for a removal {propertyName} alone.
vectorize::MetadataIndex parse_metadata_index(std::string_view body, bool with_type);

/// The vectors of an insert or upsert over REST: NDJSON as the body, or as the part `vectors` of a form.
vectorize::ParsedVectors parse_upload(const http::Request& request, vectorize::VectorRules rules);

}  // namespace glia::api
