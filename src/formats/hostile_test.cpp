// Cuts and flips of good files: each either parses or is refused with glia::Error; whatever parses can be read to the
// last byte. The bytes lie in a heap block of exactly their size, so that a sanitizer sees one read beyond them.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>

#include "base/error.h"
#include "formats/fixtures.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

namespace glia::formats {
namespace {

using Bytes = std::vector<std::byte>;
constexpr int kRounds = 300;

struct Tally {
  int parsed = 0;
  int refused = 0;
};

/// A quantised Hugging Face folder in one piece (fixtures.h), in the shape of a file.
struct Folder {
  std::span<const std::byte> bytes;
  static Folder parse(std::span<const std::byte> bytes) { return {bytes}; }
};
void touch_all(const Folder& folder) { touch_folder(folder.bytes); }

template <typename File>
void try_bytes(const Bytes& bytes, std::size_t size, Tally& tally) {
  const auto exact = std::make_unique<std::byte[]>(size);
  std::copy_n(bytes.begin(), size, exact.get());
  try {
    const File file = File::parse({exact.get(), size});
    touch_all(file);
    tally.parsed++;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::model_unavailable) << e.what();
    tally.refused++;
  }
}

template <typename File>
Tally cut(const Bytes& good, std::uint32_t seed) {
  std::mt19937 random(seed);
  Tally tally;
  for (int i = 0; i < kRounds; i++) try_bytes<File>(good, random() % good.size(), tally);
  return tally;
}

/// One to eight changed bytes, half of the rounds among the first `header` bytes only.
template <typename File>
Tally flip(const Bytes& good, std::size_t header, std::uint32_t seed) {
  std::mt19937 random(seed);
  Tally tally;
  for (int i = 0; i < kRounds; i++) {
    Bytes bad = good;
    const std::size_t range = i % 2 == 0 ? header : bad.size();
    for (auto n = 1 + random() % 8; n > 0; n--) {
      std::byte& b = bad[random() % range];
      const auto kind = random() % 4;
      if (kind == 0) b = std::byte{0};
      if (kind == 1) b = std::byte{0xFF};
      if (kind >= 2) b ^= static_cast<std::byte>(1U << (random() % 8));
    }
    try_bytes<File>(bad, bad.size(), tally);
  }
  return tally;
}

TEST(Hostile, GgufCuts) {
  const Tally t = cut<GgufFile>(small_gguf(), 1);
  EXPECT_EQ(t.parsed + t.refused, kRounds);
  EXPECT_GT(t.refused, kRounds * 9 / 10);  // a cut within the last padding is no harm
}

TEST(Hostile, GgufFlips) {
  const Tally t = flip<GgufFile>(small_gguf(), 1500, 2);
  EXPECT_EQ(t.parsed + t.refused, kRounds);
  EXPECT_GT(t.refused, 0);
  EXPECT_GT(t.parsed, 0);
}

TEST(Hostile, SafetensorsCuts) {
  const Tally t = cut<SafetensorsFile>(small_safetensors(), 3);
  EXPECT_EQ(t.refused, kRounds);
}

TEST(Hostile, SafetensorsFlips) {
  const Tally t = flip<SafetensorsFile>(small_safetensors(), 400, 4);
  EXPECT_EQ(t.parsed + t.refused, kRounds);
  EXPECT_GT(t.refused, 0);
  EXPECT_GT(t.parsed, 0);
}

TEST(Hostile, QuantisedFolders) {
  std::uint32_t seed = 5;
  for (const auto* method : {"awq", "gptq", "act_order", "fp8", "mxfp4"}) {
    SCOPED_TRACE(method);
    const Bytes good = small_quantised(method);
    EXPECT_GT(touch_folder(good), 0U);
    EXPECT_EQ(cut<Folder>(good, seed++).refused, kRounds);
    const Tally t = flip<Folder>(good, 400, seed++);
    EXPECT_GT(t.refused, 0);
    EXPECT_GT(t.parsed, 0);
  }
}

}  // namespace
}  // namespace glia::formats
