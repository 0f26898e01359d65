// The service's limits, as published, and what remains of them where they are switched off: what keeps this process
// within its memory and its formats.
#pragma once

#include <cstddef>
#include <cstdint>

namespace glia::vectorize {

struct Limits {
  std::int32_t dimensions = 1536;
  std::size_t id_bytes = 64;
  std::size_t name_bytes = 64;  ///< of an index
  std::size_t namespace_bytes = 64;
  std::size_t metadata_bytes = 10'240;
  std::int64_t top_k = 100;
  std::int64_t top_k_with_values = 20;  ///< with values or all metadata
  std::size_t batch_binding = 1000;     ///< vectors of an insert or upsert
  std::size_t batch_http = 5000;
  std::size_t upload_bytes = 100'000'000;  ///< of such a body
  std::int64_t vectors = 5'000'000;        ///< of an index
  std::size_t metadata_indexes = 10;
  std::size_t get_ids = 20;  ///< of one call
  std::size_t delete_ids = 100;
  std::size_t filter_bytes = 2048;  ///< a filter's compact JSON is shorter
  std::size_t list_count = 1000;
  std::size_t indexes = 50'000;  ///< of an account

  /// Without the service's: what is left are those of this program.
  static Limits none() {
    constexpr std::size_t kMany = 100'000;
    return {.dimensions = 2048,
            .id_bytes = 1024,
            .name_bytes = 256,
            .namespace_bytes = 1024,
            .metadata_bytes = std::size_t{1} << 20,
            .top_k = 10'000,
            .top_k_with_values = 10'000,
            .batch_binding = kMany,
            .batch_http = kMany,
            .upload_bytes = 100'000'000,
            .vectors = 50'000'000,
            .metadata_indexes = 64,
            .get_ids = kMany,
            .delete_ids = kMany,
            .filter_bytes = 65'536,
            .list_count = kMany,
            .indexes = 1'000'000};
  }
};

/// Bytes of a string that an index on metadata keeps, cut between characters.
inline constexpr std::size_t kIndexedStringBytes = 64;
inline constexpr std::size_t kFilterKeyLength = 512;

}  // namespace glia::vectorize
