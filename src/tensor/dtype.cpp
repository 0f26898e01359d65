#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "tensor/blocks.h"

namespace glia::tensor {
namespace {

constexpr std::array<DTypeInfo, 13> kInfo = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"I32", 1, 4},
    {"I8", 1, 1},
    {"Q4_0", kBlock, sizeof(BlockQ4_0)},
    {"Q4_1", kBlock, sizeof(BlockQ4_1)},
    {"Q5_0", kBlock, sizeof(BlockQ5_0)},
    {"Q5_1", kBlock, sizeof(BlockQ5_1)},
    {"Q8_0", kBlock, sizeof(BlockQ8_0)},
    {"Q4_K", kSuperBlock, sizeof(BlockQ4K)},
    {"Q5_K", kSuperBlock, sizeof(BlockQ5K)},
    {"Q6_K", kSuperBlock, sizeof(BlockQ6K)},
}};

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// Plain elements: out[i] = convert(in[i]).
template <class T, class Convert>
void each(const std::byte* in, std::span<float> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); i++) out[i] = convert(load<T>(in + i * sizeof(T)));
}

/// w = d (q - zero)
void scale_block(const std::uint8_t* q, float d, int zero, float* out, int n) {
  for (int j = 0; j < n; j++) out[j] = d * static_cast<float>(q[j] - zero);
}

/// w = d q + m. d q is exact in float32 (11 + 8 bits of significand at most), so this rounds once.
void scale_min_block(const std::uint8_t* q, float d, float m, float* out, int n) {
  for (int j = 0; j < n; j++) {
    const float product = d * static_cast<float>(q[j]);
    out[j] = product + m;
  }
}

template <class Block>
void dequantize(const Block& b, float* out) {
  std::uint8_t q[kSuperBlock];
  unpack_quants(b, q);
  const float d = f16_to_f32(b.d);
  if constexpr (std::is_same_v<Block, BlockQ4_0>) {
    scale_block(q, d, 8, out, kBlock);
  } else if constexpr (std::is_same_v<Block, BlockQ5_0>) {
    scale_block(q, d, 16, out, kBlock);
  } else if constexpr (std::is_same_v<Block, BlockQ8_0>) {
    scale_block(q, d, 128, out, kBlock);
  } else if constexpr (std::is_same_v<Block, BlockQ4_1> || std::is_same_v<Block, BlockQ5_1>) {
    scale_min_block(q, d, f16_to_f32(b.m), out, kBlock);
  } else if constexpr (std::is_same_v<Block, BlockQ6K>) {
    for (int s = 0; s < 16; s++) scale_block(q + 16 * s, d * b.scales[s], 32, out + 16 * s, 16);
  } else {
    std::uint8_t sc[8];
    std::uint8_t mn[8];
    unpack_scales(b.scales, sc, mn);
    const float dmin = f16_to_f32(b.dmin);
    for (int s = 0; s < 8; s++) scale_min_block(q + 32 * s, d * sc[s], -(dmin * mn[s]), out + 32 * s, 32);
  }
}

template <class Block, int kElements>
void each_block(const std::byte* in, std::span<float> out) {
  for (std::size_t i = 0; i < out.size() / kElements; i++) {
    dequantize(load<Block>(in + i * sizeof(Block)), out.data() + i * kElements);
  }
}

}  // namespace

const DTypeInfo& info(DType type) { return kInfo[static_cast<std::size_t>(type)]; }

std::uint64_t row_bytes(DType type, std::uint64_t elements) {
  const DTypeInfo& t = info(type);
  std::uint64_t bytes = 0;
  if (elements % t.block != 0) throw Error(ErrorCode::invalid_data, "row is not a whole number of blocks");
  if (!checked_mul(elements / t.block, t.bytes, bytes)) throw Error(ErrorCode::invalid_data, "row size overflows");
  return bytes;
}

void dequantize_row(DType type, std::span<const std::byte> in, std::span<float> out) {
  assert(in.size() >= row_bytes(type, out.size()));
  const std::byte* p = in.data();
  switch (type) {
    case DType::f32:
      return each<float>(p, out, [](float v) { return v; });
    case DType::f16:
      return each<std::uint16_t>(p, out, f16_to_f32);
    case DType::bf16:
      return each<std::uint16_t>(p, out, bf16_to_f32);
    case DType::i32:
      return each<std::int32_t>(p, out, [](std::int32_t v) { return static_cast<float>(v); });
    case DType::i8:
      return each<std::int8_t>(p, out, [](std::int8_t v) { return static_cast<float>(v); });
    case DType::q4_0:
      return each_block<BlockQ4_0, kBlock>(p, out);
    case DType::q4_1:
      return each_block<BlockQ4_1, kBlock>(p, out);
    case DType::q5_0:
      return each_block<BlockQ5_0, kBlock>(p, out);
    case DType::q5_1:
      return each_block<BlockQ5_1, kBlock>(p, out);
    case DType::q8_0:
      return each_block<BlockQ8_0, kBlock>(p, out);
    case DType::q4_k:
      return each_block<BlockQ4K, kSuperBlock>(p, out);
    case DType::q5_k:
      return each_block<BlockQ5K, kSuperBlock>(p, out);
    case DType::q6_k:
      return each_block<BlockQ6K, kSuperBlock>(p, out);
  }
}

float f16_to_f32(std::uint16_t h) {
  // Move the exponent and significand into a float32's place and let one exact multiplication by 2^112 fix the bias;
  // subnormals come out right by the same multiplication, infinities and NaNs get the full exponent by hand.
  const std::uint32_t magnitude = static_cast<std::uint32_t>(h & 0x7FFFU) << 13;
  float value = std::bit_cast<float>(magnitude) * 0x1p112F;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((h & 0x7C00U) == 0x7C00U) bits = 0x7F800000U | magnitude;
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(h & 0x8000U) << 16));
}

std::uint16_t f32_to_f16(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t a = bits & 0x7FFFFFFFU;
  if (a > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U | ((a >> 13) & 0x01FFU));  // NaN, quiet
  if (a >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds to 2^16 or beyond
  if (a < 0x38800000U) {  // below 2^-14: a subnormal, in units of 2^-24, rounded by a float32 addition
    const float shifted = std::bit_cast<float>(a) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t rounded = a + 0x0FFFU + ((a >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

std::uint16_t f32_to_bf16(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace glia::tensor
