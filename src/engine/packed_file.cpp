#include "engine/packed_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/checked.h"

namespace glia::engine {
namespace {

constexpr std::uint64_t kMagic = 0x316B6361'70616C47;  // "Glapack1"
constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;     // 2^64 over the golden ratio

struct Header {
  std::uint64_t magic;
  std::uint64_t identity;
  std::uint64_t matrices;
  std::uint64_t index_sum;
  std::uint64_t file_bytes;
};

std::uint64_t mixed(std::uint64_t sum, std::uint64_t word) { return std::rotl(sum ^ word, 29) * kOdd; }

std::uint64_t in_pages(std::uint64_t bytes) { return (bytes + kPackedPage - 1) / kPackedPage * kPackedPage; }

std::span<const std::uint8_t> bytes_of(std::span<const PackedEntry> entries) {
  return {reinterpret_cast<const std::uint8_t*>(entries.data()), entries.size_bytes()};
}

}  // namespace

std::uint64_t chunk_sum(std::span<const std::uint8_t> chunk) {
  constexpr std::size_t kLanes = 8;  // side by side: the sum is as fast as memory
  using Words = std::array<std::uint64_t, kLanes>;
  Words lanes = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto take = [&](const Words& words) {
    for (std::size_t i = 0; i < kLanes; i++) lanes[i] = mixed(lanes[i], words[i]);
  };
  Words words;
  std::size_t at = 0;
  for (; at + sizeof(words) <= chunk.size(); at += sizeof(words)) {
    std::memcpy(&words, chunk.data() + at, sizeof(words));
    take(words);
  }
  if (at < chunk.size()) {
    words = {};
    std::memcpy(&words, chunk.data() + at, chunk.size() - at);
    take(words);
  }
  std::uint64_t sum = chunk.size();
  for (const std::uint64_t lane : lanes) sum = mixed(sum, lane);
  return sum;
}

std::uint64_t sum_of_sums(std::span<const std::uint64_t> sums) {
  std::uint64_t sum = sums.size();
  for (const std::uint64_t one : sums) sum = mixed(sum, one);
  return sum;
}

std::uint64_t packed_sum(std::span<const std::uint8_t> bytes, ThreadPool& pool) {
  std::vector<std::uint64_t> sums((bytes.size() + kPackedChunk - 1) / kPackedChunk);
  pool.for_each(static_cast<std::uint32_t>(sums.size()), [&](std::uint32_t i, int) {
    const std::size_t first = i * kPackedChunk;
    sums[i] = chunk_sum(bytes.subspan(first, std::min(kPackedChunk, bytes.size() - first)));
  });
  return sum_of_sums(sums);
}

std::uint64_t packed_index_sum(std::span<const PackedEntry> entries, std::uint64_t identity) {
  std::uint64_t sum = identity;
  const auto bytes = bytes_of(entries);
  for (std::size_t at = 0; at < bytes.size(); at += kPackedChunk) {
    sum = mixed(sum, chunk_sum(bytes.subspan(at, std::min(kPackedChunk, bytes.size() - at))));
  }
  return mixed(sum, bytes.size());
}

std::uint64_t packed_file_bytes(std::span<const PackedEntry> entries) {
  std::uint64_t bytes = in_pages(sizeof(Header) + entries.size_bytes());
  for (const PackedEntry& entry : entries) bytes += in_pages(entry.bytes);
  return bytes;
}

std::vector<std::uint8_t> packed_head(std::span<PackedEntry> entries, std::uint64_t identity) {
  std::uint64_t next = in_pages(sizeof(Header) + entries.size_bytes());
  for (PackedEntry& entry : entries) {
    entry.offset = next;
    next += in_pages(entry.bytes);
  }
  const Header header = {kMagic, identity, entries.size(), packed_index_sum(entries, identity), next};
  std::vector<std::uint8_t> head(sizeof(header) + entries.size_bytes());
  std::memcpy(head.data(), &header, sizeof(header));
  if (!entries.empty()) std::memcpy(head.data() + sizeof(header), entries.data(), entries.size_bytes());
  return head;
}

std::optional<std::vector<PackedEntry>> read_packed_index(std::span<const std::uint8_t> file, std::uint64_t identity) {
  Header header{};
  if (file.size() < sizeof(header)) return std::nullopt;
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.magic != kMagic || header.identity != identity || header.file_bytes != file.size()) return std::nullopt;
  if (header.matrices > (file.size() - sizeof(header)) / sizeof(PackedEntry)) return std::nullopt;
  std::vector<PackedEntry> entries(static_cast<std::size_t>(header.matrices));
  const std::span<PackedEntry> all(entries);
  if (!entries.empty()) std::memcpy(entries.data(), file.data() + sizeof(header), all.size_bytes());
  if (packed_index_sum(all, identity) != header.index_sum) return std::nullopt;
  const std::uint64_t first = in_pages(sizeof(header) + all.size_bytes());
  for (const PackedEntry& entry : entries) {
    std::uint64_t end = 0;
    if (entry.offset % kPackedPage != 0 || entry.offset < first) return std::nullopt;
    if (!checked_add(entry.offset, entry.bytes, end) || end > file.size()) return std::nullopt;
  }
  return entries;
}

}  // namespace glia::engine
