// What goes in and out of indexes, as values. No field here knows a table, a byte layout or HTTP.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace glia::vectorize {

/// Scores: cosine from -1 to 1, best first from the top; euclidean distances and negated dot products, best the lowest.
enum class Metric { cosine, euclidean, dot_product };
enum class PropertyType { string, number, boolean };
enum class MetadataLevel { none, indexed, all };
enum class WriteKind { insert, upsert };

std::string_view metric_name(Metric metric);    ///< "dot-product"
std::string_view type_name(PropertyType type);  ///< "string"
std::optional<Metric> metric_of(std::string_view name);
std::optional<PropertyType> type_of(std::string_view name);

struct IndexConfig {
  std::int32_t dimensions = 0;
  Metric metric = Metric::cosine;
};

/// Dimensions and metric of an embedding model's index, by the name that the service has for it.
std::optional<IndexConfig> preset_config(std::string_view preset);

struct IndexEntry {
  std::string name;
  std::optional<std::string> description;
  IndexConfig config;
  std::int64_t created_ms = 0;  ///< Unix time
  std::int64_t modified_ms = 0;
};

struct IndexInfo {
  std::int32_t dimensions = 0;
  std::int64_t vectors = 0;
  /// Of the newest mutation that queries see, and everything before it; empty where there was none.
  std::string processed_mutation;
  std::int64_t processed_ms = 0;
};

struct MetadataIndex {
  std::string property;  ///< "a.b" is b within the object a
  PropertyType type = PropertyType::string;
};

struct Vector {
  std::string id;
  std::optional<std::string> ns;  ///< the namespace
  std::vector<float> values;
  std::string metadata;  ///< compact JSON of an object; empty: none
};

struct Match {
  std::string id;
  double score = 0;
  std::optional<std::string> ns;
  std::vector<float> values;  ///< where they were asked for
  std::string metadata;       ///< compact JSON of an object, where it was asked for; empty: none
};

struct VectorPage {
  std::vector<std::string> ids;
  std::int64_t total = 0;       ///< vectors of the snapshot that is paged through
  std::string next_cursor;      ///< empty: this was the last page
  std::int64_t expires_ms = 0;  ///< of the cursor
};

}  // namespace glia::vectorize
