#include "vectorize/types.h"

#include <array>
#include <utility>

namespace glia::vectorize {
namespace {

constexpr std::array<std::string_view, 3> kMetrics = {"cosine", "euclidean", "dot-product"};
constexpr std::array<std::string_view, 3> kTypes = {"string", "number", "boolean"};

struct Preset {
  std::string_view name;
  std::int32_t dimensions;
};

/// The names that wrangler offers; all of them are compared by cosine.
constexpr std::array<Preset, 5> kPresets = {{{"@cf/baai/bge-small-en-v1.5", 384},
                                             {"@cf/baai/bge-base-en-v1.5", 768},
                                             {"@cf/baai/bge-large-en-v1.5", 1024},
                                             {"openai/text-embedding-ada-002", 1536},
                                             {"cohere/embed-multilingual-v2.0", 768}}};

template <class Value, std::size_t n>
std::optional<Value> named(const std::array<std::string_view, n>& names, std::string_view name) {
  for (std::size_t i = 0; i < n; ++i) {
    if (names[i] == name) return static_cast<Value>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view metric_name(Metric metric) { return kMetrics.at(static_cast<std::size_t>(metric)); }
std::string_view type_name(PropertyType type) { return kTypes.at(static_cast<std::size_t>(type)); }
std::optional<Metric> metric_of(std::string_view name) { return named<Metric>(kMetrics, name); }
std::optional<PropertyType> type_of(std::string_view name) { return named<PropertyType>(kTypes, name); }

std::optional<IndexConfig> preset_config(std::string_view preset) {
  for (const Preset& p : kPresets) {
    if (p.name == preset) return IndexConfig{p.dimensions, Metric::cosine};
  }
  return std::nullopt;
}

}  // namespace glia::vectorize
