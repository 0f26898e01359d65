// Any bytes as an upload of vectors: what is taken is within every limit, finite, of one width, and reads back.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "vectorize/vector_text.h"

namespace {

void check(const glia::vectorize::ParsedVectors& parsed, const glia::vectorize::VectorRules& rules) {
  if (parsed.vectors.empty() || parsed.vectors.size() > rules.most_vectors) std::abort();
  for (const auto& vector : parsed.vectors) {
    if (vector.id.empty() || vector.id.size() > rules.limits.id_bytes) std::abort();
    if (vector.ns && (vector.ns->empty() || vector.ns->size() > rules.limits.namespace_bytes)) std::abort();
    if (vector.values.size() != parsed.vectors.front().values.size()) std::abort();
    for (const float value : vector.values) {
      if (!std::isfinite(value)) std::abort();
    }
    if (vector.metadata.size() > rules.limits.metadata_bytes) std::abort();
    if (!vector.metadata.empty() && !glia::parse_json(vector.metadata).is_object()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool discard : {false, true}) {
    glia::vectorize::VectorRules rules;
    rules.dimensions = discard ? 3 : 0;
    rules.most_vectors = 50;
    rules.discard_unparsable = discard;
    try {
      check(glia::vectorize::parse_ndjson(text, rules), rules);
    } catch (const glia::Error&) {
    }
    try {
      check(glia::vectorize::parse_vectors_object(text, rules), rules);
    } catch (const glia::Error&) {
    }
  }
  return 0;
}
