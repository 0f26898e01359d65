#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace glia::tensor {
namespace {

constexpr DType kQuantised[] = {DType::q4_0,   DType::q4_1,   DType::q5_0,  DType::q5_1,     DType::q8_0,
                                DType::q4_k,   DType::q5_k,   DType::q6_k,  DType::q2_k,     DType::q3_k,
                                DType::iq4_nl, DType::iq4_xs, DType::mxfp4, DType::int4_g32, DType::int4_g128,
                                DType::f8_g32, DType::f8_g128};
/// Those of GGUF files, and what else a reference implementation can read.
constexpr DType kGolden[] = {DType::q4_0,  DType::q4_1, DType::q5_0, DType::q5_1,   DType::q8_0,   DType::q4_k,
                             DType::q5_k,  DType::q6_k, DType::q2_k, DType::q3_k,   DType::iq4_nl, DType::iq4_xs,
                             DType::mxfp4, DType::f16,  DType::bf16, DType::f8_e4m3};

std::vector<std::byte> read(const std::string& name) {
  std::ifstream file(std::string(GLIA_SOURCE_DIR) + "/tests/golden/dtypes/" + name, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TEST(Dequantize, EqualsTheGgufPackageAndTorchBitForBit) {
  for (const DType type : kGolden) {
    const std::string name(info(type).name);
    SCOPED_TRACE(name);
    const std::vector<std::byte> blocks = read(name + ".blocks");
    const std::vector<std::byte> golden = read(name + ".f32");
    ASSERT_FALSE(blocks.empty());
    std::vector<float> values(golden.size() / 4);
    ASSERT_EQ(row_bytes(type, values.size()), blocks.size());
    dequantize_row(type, blocks, values);
    for (std::size_t i = 0; i < values.size(); i++) {
      float want;
      std::memcpy(&want, golden.data() + 4 * i, 4);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(values[i] + 0.0F), std::bit_cast<std::uint32_t>(want + 0.0F)) << i;
    }
  }
}

/// Of one type, for values within +-range.
struct Steps {
  double widest;  ///< between neighbouring values, at the far end where they are unevenly spaced
  double scale;   ///< relative error that the scales' own rounding adds at the far end
};

/// A block's step is its range / most quant. Symmetric types have one level less on one side: a whole step is lost
/// there. float16 scales round by 2^-11; sub-scales of a super-block by half of 1/63, 1/31, 1/15 or 1/127 of the
/// largest.
Steps steps_of(DType type, double range) {
  switch (type) {
    case DType::q4_0:
      return {2 * range / 8, 0x1p-10};
    case DType::q4_1:
      return {2 * range / 15, 0x1p-10};
    case DType::q5_0:
      return {2 * range / 16, 0x1p-10};
    case DType::q5_1:
      return {2 * range / 31, 0x1p-10};
    case DType::q8_0:
      return {range / 127, 0x1p-10};
    case DType::q4_k:
      return {2 * range / 15, 2.0 / 63};
    case DType::q5_k:
      return {2 * range / 31, 2.0 / 63};
    case DType::q6_k:
      return {2 * range / 32, 1.0 / 127};
    case DType::q2_k:
      return {2 * range / 3, 2.0 / 15};
    case DType::q3_k:
      return {2 * range / 4, 1.0 / 32};
    case DType::iq4_nl:  // the widest gap is 24 of 127; the positive end stops at 113
      return {range * 28 / 127, 0x1p-10};
    case DType::iq4_xs:
      return {range * 28 / 127, 1.0 / 32};
    case DType::mxfp4:  // values up to 8 units are cut to 6; the widest gap is 2 of 6
      return {range * 2 / 4 * 2, 0};
    case DType::int4_g32:
    case DType::int4_g128:
      return {2 * range / 15 * 2, 0x1p-10};
    default:  // FP8: three bits behind the point
      return {range / 8, 0};
  }
}

TEST(Quantize, StaysWithinTheStep) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const DType type : kQuantised) {
    SCOPED_TRACE(info(type).name);
    std::vector<float> x(2048);
    for (float& v : x) v = normal(random);
    std::vector<std::byte> bytes(row_bytes(type, x.size()));
    quantize_row(type, x, bytes);
    std::vector<float> y(x.size());
    dequantize_row(type, bytes, y);
    const double range = 4.0;  // of 2,048 normal values, one side
    const Steps steps = steps_of(type, range);
    double squares = 0;
    for (std::size_t i = 0; i < x.size(); i++) {
      EXPECT_NEAR(x[i], y[i], steps.widest / 2 + range * steps.scale);
      squares += std::pow(static_cast<double>(x[i] - y[i]), 2);
    }
    EXPECT_LT(std::sqrt(squares / 2048), steps.widest / 3);
  }
}

TEST(Quantize, ZeroesAndPlainTypesComeBack) {
  const std::vector<float> zeroes(256, 0.0F);
  for (const DType type : kQuantised) {
    std::vector<std::byte> bytes(row_bytes(type, 256));
    quantize_row(type, zeroes, bytes);
    std::vector<float> y(256, 1.0F);
    dequantize_row(type, bytes, y);
    EXPECT_EQ(y, zeroes) << info(type).name;
  }
  const std::vector<float> x = {1.5F, -2.0F, 0.0F, 127.0F};
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    std::vector<std::byte> bytes(row_bytes(type, 4));
    quantize_row(type, x, bytes);
    std::vector<float> y(4);
    dequantize_row(type, bytes, y);
    EXPECT_EQ(y, x);
  }
}

TEST(HalfFloat, EveryValueRoundTrips) {
  for (std::uint32_t h = 0; h < 65536; h++) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(h));
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    } else {
      ASSERT_EQ(f32_to_f16(f), h);
    }
  }
}

TEST(HalfFloat, RoundsToNearestEven) {
  EXPECT_EQ(f16_to_f32(f32_to_f16(2049.0F)), 2048.0F);
  EXPECT_EQ(f16_to_f32(f32_to_f16(2051.0F)), 2052.0F);
  EXPECT_EQ(f32_to_f16(65519.9F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(0x1p-25F), 0);
  EXPECT_EQ(f32_to_f16(0x1.8p-25F), 1);
  EXPECT_EQ(f32_to_f16(-0x1p-24F), 0x8001);
  EXPECT_EQ(f32_to_bf16(1.00390625F), 0x3F80);
  EXPECT_EQ(f32_to_bf16(1.01171875F), 0x3F82);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::nanf("")))));
}

TEST(Float8, EveryValueRoundTripsAndBetweenRoundsToNearestEven) {
  for (std::uint32_t b = 0; b < 256; b++) {
    const float f = f8_to_f32(static_cast<std::uint8_t>(b));
    if ((b & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(f));
      EXPECT_TRUE(std::isnan(f8_to_f32(f32_to_f8(f))));
      continue;
    }
    ASSERT_EQ(f32_to_f8(f), b);
    if ((b & 0x7F) == 0x7E) continue;
    const float middle = (f + f8_to_f32(static_cast<std::uint8_t>(b + 1))) / 2;
    EXPECT_EQ(f32_to_f8(middle), b % 2 == 0 ? b : b + 1);
  }
  EXPECT_EQ(f8_to_f32(f32_to_f8(1e9F)), 448.0F);
  EXPECT_EQ(f8_to_f32(f32_to_f8(-1e9F)), -448.0F);
}

TEST(RowBytes, RefusesBrokenRowsAndOverflow) {
  EXPECT_EQ(row_bytes(DType::q4_k, 512), 288U);
  EXPECT_EQ(row_bytes(DType::q8_0, 0), 0U);
  EXPECT_THROW(row_bytes(DType::q4_k, 128), Error);
  EXPECT_THROW(row_bytes(DType::f32, ~0ULL), Error);
}

}  // namespace
}  // namespace glia::tensor
