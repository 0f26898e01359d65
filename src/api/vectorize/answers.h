// Vectorize's values as the service's JSON. Texts, since metadata is kept as one and numbers are written as the service
// does: values as the float64 of their float32.
#pragma once

#include <string>
#include <vector>

#include "vectorize/types.h"

namespace glia::api {

std::string index_json(const vectorize::IndexEntry& entry);
std::string info_json(const vectorize::IndexInfo& info);
std::string matches_json(const std::vector<vectorize::Match>& matches);
std::string vectors_json(const std::vector<vectorize::Vector>& vectors);
std::string mutation_json(const std::string& mutation);
std::string page_json(const vectorize::VectorPage& page);
std::string metadata_indexes_json(const std::vector<vectorize::MetadataIndex>& indexes);

/// "2026-11-30T21:02:03.004000Z"
std::string iso_time(std::int64_t unix_ms);

/// Cloudflare's envelope around a result that is JSON already. `notes`: as envelope().
std::string enveloped(const std::string& result, const std::vector<std::string>& notes);

}  // namespace glia::api
