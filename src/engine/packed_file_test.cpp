#include "engine/packed_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>

namespace glia::engine {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kIdentity = 0x0123456789ABCDEF;

Bytes random_bytes(std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(n);
  for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
  return bytes;
}

struct File {
  std::vector<PackedEntry> entries;
  Bytes bytes;
};

File file_of(const std::vector<Bytes>& matrices) {
  ThreadPool pool(1);
  File file;
  for (const Bytes& m : matrices) {
    file.entries.push_back({.key = m.size() * 3, .bytes = m.size(), .sum = packed_sum(m, pool)});
  }
  const auto head = packed_head(file.entries, kIdentity);
  file.bytes.resize(packed_file_bytes(file.entries));
  std::memcpy(file.bytes.data(), head.data(), head.size());
  for (std::size_t i = 0; i < matrices.size(); i++) {
    std::memcpy(file.bytes.data() + file.entries[i].offset, matrices[i].data(), matrices[i].size());
  }
  return file;
}

TEST(PackedFile, what_was_written_is_read) {
  const std::vector<Bytes> matrices = {random_bytes(4096, 1), random_bytes(12288, 2), {}};
  const File file = file_of(matrices);
  const auto index = read_packed_index(file.bytes, kIdentity);
  ASSERT_TRUE(index);
  ASSERT_EQ(index->size(), 3U);
  for (std::size_t i = 0; i < matrices.size(); i++) {
    EXPECT_EQ((*index)[i].key, file.entries[i].key);
    EXPECT_EQ((*index)[i].offset % kPackedPage, 0U);
    EXPECT_EQ((*index)[i].bytes, matrices[i].size());
    EXPECT_EQ(std::memcmp(file.bytes.data() + (*index)[i].offset, matrices[i].data(), matrices[i].size()), 0);
  }
  EXPECT_TRUE(read_packed_index(file_of({}).bytes, kIdentity));
  EXPECT_FALSE(read_packed_index(file.bytes, kIdentity + 1)) << "another identity";
}

TEST(PackedFile, no_other_length_is_read) {
  const File file = file_of({random_bytes(4096, 1), random_bytes(8192, 2)});
  for (std::size_t n = 0; n < file.bytes.size(); n++) {
    ASSERT_FALSE(read_packed_index(std::span(file.bytes).first(n), kIdentity)) << n;
  }
  Bytes longer = file.bytes;
  longer.push_back(0);
  EXPECT_FALSE(read_packed_index(longer, kIdentity));
}

TEST(PackedFile, a_changed_bit_of_header_or_index_is_found) {
  File file = file_of({random_bytes(4096, 1), random_bytes(8192, 2)});
  const std::size_t head = packed_head(file.entries, kIdentity).size();
  for (std::size_t bit = 0; bit < 8 * head; bit++) {
    const auto flip = [&] { file.bytes[bit / 8] = static_cast<std::uint8_t>(file.bytes[bit / 8] ^ (1U << (bit % 8))); };
    flip();
    ASSERT_FALSE(read_packed_index(file.bytes, kIdentity)) << "bit " << bit;
    flip();
  }
  EXPECT_TRUE(read_packed_index(file.bytes, kIdentity));
}

/// An index whose sums are right and whose numbers are not: somebody's work, not chance.
TEST(PackedFile, numbers_that_point_outside_are_refused) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const auto reads = [](auto change) {
    std::vector<PackedEntry> entries = {{.key = 1, .bytes = 4096}, {.key = 2, .bytes = 4096}};
    const auto good = packed_head(entries, kIdentity);
    Bytes file(packed_file_bytes(entries));
    std::memcpy(file.data(), good.data(), good.size());
    change(entries);
    std::memcpy(file.data() + good.size() - sizeof(PackedEntry) * 2, entries.data(), sizeof(PackedEntry) * 2);
    const std::uint64_t sum = packed_index_sum(entries, kIdentity);
    std::memcpy(file.data() + 3 * sizeof(std::uint64_t), &sum, sizeof(sum));
    return read_packed_index(file, kIdentity).has_value();
  };
  EXPECT_TRUE(reads([](auto&) {}));
  EXPECT_FALSE(reads([](auto& e) { e[0].offset = 0; })) << "over the header";
  EXPECT_FALSE(reads([](auto& e) { e[0].offset += 64; })) << "not at a page";
  EXPECT_FALSE(reads([](auto& e) { e[1].offset += 4096; })) << "past the end";
  EXPECT_FALSE(reads([](auto& e) { e[1].bytes = 4097; }));
  EXPECT_FALSE(reads([](auto& e) { e[1].bytes = kMost; })) << "the sum overflows";
  EXPECT_FALSE(reads([](auto& e) { e[0].offset = kMost - 4095; })) << "the sum overflows";
  EXPECT_FALSE(reads([](auto& e) { e[0].offset = std::uint64_t{1} << 63; }));
}

TEST(PackedFile, a_count_beyond_the_file_takes_no_memory) {
  File file = file_of({random_bytes(4096, 1)});
  for (const std::uint64_t count :
       {std::uint64_t{1} << 62, std::uint64_t{1} << 40, std::numeric_limits<std::uint64_t>::max()}) {
    std::memcpy(file.bytes.data() + 16, &count, sizeof(count));
    EXPECT_FALSE(read_packed_index(file.bytes, kIdentity));
  }
}

TEST(PackedFile, sums_find_changes_and_do_not_depend_on_threads) {
  ThreadPool one(1);
  ThreadPool three(3);
  Bytes bytes = random_bytes(3 * kPackedChunk + 77, 3);
  const std::uint64_t sum = packed_sum(bytes, one);
  EXPECT_EQ(packed_sum(bytes, three), sum);
  std::mt19937 random(4);
  for (int i = 0; i < 300; i++) {
    const std::size_t at = random() % bytes.size();
    const std::uint8_t before = bytes[at];
    bytes[at] = static_cast<std::uint8_t>(before ^ (1U << (random() % 8)));
    ASSERT_NE(packed_sum(bytes, three), sum) << at;
    bytes[at] = before;
  }
  // Lost writes: pages and chunks of zeros, and chunks that changed places.
  for (const std::size_t size : {std::size_t{4096}, kPackedChunk}) {
    Bytes torn = bytes;
    std::fill_n(torn.begin() + static_cast<std::ptrdiff_t>(size), size, std::uint8_t{0});
    EXPECT_NE(packed_sum(torn, three), sum);
  }
  Bytes swapped = bytes;
  std::swap_ranges(swapped.begin(), swapped.begin() + kPackedChunk, swapped.begin() + kPackedChunk);
  EXPECT_NE(packed_sum(swapped, three), sum);
  EXPECT_NE(chunk_sum(Bytes(64)), chunk_sum(Bytes(128))) << "zeros count";
  EXPECT_NE(chunk_sum(Bytes(1)), chunk_sum(Bytes(2)));
}

}  // namespace
}  // namespace glia::engine
