// The file that holds one model's packed weights.
//
//   header    magic, identity, matrices, sum of the index, size of the file    uint64 each, in the machine's byte order
//   index     per matrix, in the order of loading: key, offset, bytes, sum
//   matrices  each from a page's start
//
// `identity` says what the bytes were made of and by what (packed_cache.h); sums find bytes that changed since.
// Errors: none; what does not fit together is no index. Thread rule: functions of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace glia::engine {

struct PackedEntry {
  std::uint64_t key = 0;  ///< of kernels::PackedStore
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t sum = 0;
};

inline constexpr std::string_view kPackedEnding = ".packed";  ///< of the file's name
inline constexpr std::size_t kPackedPage = 4096;
inline constexpr std::size_t kPackedChunk = std::size_t{1} << 20;  ///< that is summed, and written, at a time

/// Of at most a chunk. Any one word that changes changes it; others do with a chance of 1 - 2^-64.
std::uint64_t chunk_sum(std::span<const std::uint8_t> chunk);
/// Of any number of bytes: over the sums of their chunks.
std::uint64_t sum_of_sums(std::span<const std::uint64_t> sums);
std::uint64_t packed_sum(std::span<const std::uint8_t> bytes, ThreadPool& pool);

/// Of an index, as its header has it.
std::uint64_t packed_index_sum(std::span<const PackedEntry> entries, std::uint64_t identity);

/// Header and index for matrices whose keys, bytes and sums are set, and where each goes: `entries` get their offsets.
std::vector<std::uint8_t> packed_head(std::span<PackedEntry> entries, std::uint64_t identity);
/// Bytes of the whole file.
std::uint64_t packed_file_bytes(std::span<const PackedEntry> entries);

/// The index of a whole file; nothing for one of another identity, or where anything points outside the file.
std::optional<std::vector<PackedEntry>> read_packed_index(std::span<const std::uint8_t> file, std::uint64_t identity);

}  // namespace glia::engine
