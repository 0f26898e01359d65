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

constexpr DType kQuantised[] = {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
                                DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k};

std::vector<std::byte> read(const std::string& name) {
  std::ifstream file(std::string(GLIA_SOURCE_DIR) + "/tests/golden/dtypes/" + name, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

TEST(Dequantize, EqualsTheGgufPackageBitForBit) {
  std::vector<DType> types(std::begin(kQuantised), std::end(kQuantised));
  types.insert(types.end(), {DType::f16, DType::bf16});
  for (const DType type : types) {
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

/// The step of a block is range / most quant; rounding to nearest stays within half of it, and the scales' own rounding
/// (float16: 2^-11, k-quants' sub-scales: half of 1/63 or 1/127 of the largest) moves the far end by as many steps.
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
    const bool k = info(type).block == 256;
    const double levels = type == DType::q8_0 ? 127 : type == DType::q6_k ? 32 : info(type).name[1] == '5' ? 16 : 8;
    const double range = 4.0;  // of 2,048 normal values, one side
    const double step = range / levels * (k ? 1.1 : 1.0) * (type == DType::q4_1 || type == DType::q5_1 ? 1.07 : 1.0);
    // The symmetric types lose up to a whole step at the end that has one level less.
    const double allowed = step * 1.05 + (k ? range / 63 : 0) + range * 0x1p-10;
    double squares = 0;
    for (std::size_t i = 0; i < x.size(); i++) {
      EXPECT_NEAR(x[i], y[i], allowed);
      squares += std::pow(static_cast<double>(x[i] - y[i]), 2);
    }
    EXPECT_LT(std::sqrt(squares / 2048), step / 2.5);
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

TEST(RowBytes, RefusesBrokenRowsAndOverflow) {
  EXPECT_EQ(row_bytes(DType::q4_k, 512), 288U);
  EXPECT_EQ(row_bytes(DType::q8_0, 0), 0U);
  EXPECT_THROW(row_bytes(DType::q4_k, 128), Error);
  EXPECT_THROW(row_bytes(DType::f32, ~0ULL), Error);
}

}  // namespace
}  // namespace glia::tensor
