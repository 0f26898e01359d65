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

constexpr std::array<DTypeInfo, kDTypes> kInfo = {{
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
    {"Q2_K", kSuperBlock, sizeof(BlockQ2K)},
    {"Q3_K", kSuperBlock, sizeof(BlockQ3K)},
    {"IQ4_NL", kBlock, sizeof(BlockIq4Nl)},
    {"IQ4_XS", kSuperBlock, sizeof(BlockIq4Xs)},
    {"MXFP4", kBlock, sizeof(BlockMxfp4)},
    {"U8", 1, 1},
    {"I64", 1, 8},
    {"F8_E4M3", 1, 1},
    {"INT4_G32", 32, sizeof(BlockInt4<32>)},
    {"INT4_G128", 128, sizeof(BlockInt4<128>)},
    {"F8_E4M3_G32", 32, sizeof(BlockF8<32>)},
    {"F8_E4M3_G128", 128, sizeof(BlockF8<128>)},
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

/// w = d values[q]
void scale_codes(const std::uint8_t* q, float d, const std::int8_t (&values)[16], float* out, int n) {
  for (int j = 0; j < n; j++) out[j] = d * static_cast<float>(values[q[j]]);
}

template <class Block>
constexpr int zero_of() {
  if constexpr (std::is_same_v<Block, BlockQ4_0>) return 8;
  if constexpr (std::is_same_v<Block, BlockQ5_0>) return 16;
  if constexpr (std::is_same_v<Block, BlockQ8_0>) return 128;
  if constexpr (std::is_same_v<Block, BlockQ3K>) return 4;
  if constexpr (std::is_same_v<Block, BlockQ6K>) return 32;
}

/// Blocks of 32 with one float16 scale.
template <class Block>
void dequantize(const Block& b, float* out) {
  std::uint8_t q[kBlock];
  unpack_quants(b, q);
  const float d = f16_to_f32(b.d);
  if constexpr (std::is_same_v<Block, BlockQ4_1> || std::is_same_v<Block, BlockQ5_1>) {
    scale_min_block(q, d, f16_to_f32(b.m), out, kBlock);
  } else if constexpr (std::is_same_v<Block, BlockIq4Nl>) {
    scale_codes(q, d, kIq4Values, out, kBlock);
  } else {
    scale_block(q, d, zero_of<Block>(), out, kBlock);
  }
}

/// Super-blocks of sub-blocks of `n`.
template <int n, class Block>
void dequantize_super(const Block& b, float* out) {
  std::uint8_t q[kSuperBlock];
  std::int8_t sc[kSuperBlock / n];
  std::uint8_t mn[kSuperBlock / n];
  unpack_quants(b, q);
  sub_scales(b, sc, mn);
  const float d = f16_to_f32(b.d);
  for (int s = 0; s < kSuperBlock / n; s++) {
    const std::uint8_t* from = q + n * s;
    float* to = out + n * s;
    if constexpr (requires { b.dmin; }) {
      scale_min_block(from, d * sc[s], -(f16_to_f32(b.dmin) * mn[s]), to, n);
    } else if constexpr (std::is_same_v<Block, BlockIq4Xs>) {
      scale_codes(from, d * sc[s], kIq4Values, to, n);
    } else {
      scale_block(from, d * sc[s], zero_of<Block>(), to, n);
    }
  }
}

void dequantize(const BlockQ4K& b, float* out) { dequantize_super<32>(b, out); }
void dequantize(const BlockQ5K& b, float* out) { dequantize_super<32>(b, out); }
void dequantize(const BlockIq4Xs& b, float* out) { dequantize_super<32>(b, out); }
void dequantize(const BlockQ2K& b, float* out) { dequantize_super<16>(b, out); }
void dequantize(const BlockQ3K& b, float* out) { dequantize_super<16>(b, out); }
void dequantize(const BlockQ6K& b, float* out) { dequantize_super<16>(b, out); }

void dequantize(const BlockMxfp4& b, float* out) {
  std::uint8_t q[kBlock];
  unpack_quants(b, q);
  scale_codes(q, mxfp4_scale(b.e), kFp4Values, out, kBlock);
}

template <int n>
void dequantize(const BlockInt4<n>& b, float* out) {
  std::uint8_t q[n];
  unpack_quants(b, q);
  scale_block(q, b.d, b.zero, out, n);
}

template <int n>
void dequantize(const BlockF8<n>& b, float* out) {
  for (int j = 0; j < n; j++) out[j] = b.d * f8_to_f32(b.bits[j]);
}

template <class Block, int kElements>
void each_block(const std::byte* in, std::span<float> out) {
  for (std::size_t i = 0; i < out.size() / kElements; i++) {
    dequantize(load<Block>(in + i * sizeof(Block)), out.data() + i * kElements);
  }
}

}  // namespace

bool is_integer(DType type) {
  return type == DType::i8 || type == DType::i32 || type == DType::i64 || type == DType::u8;
}

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
    case DType::q2_k:
      return each_block<BlockQ2K, kSuperBlock>(p, out);
    case DType::q3_k:
      return each_block<BlockQ3K, kSuperBlock>(p, out);
    case DType::iq4_nl:
      return each_block<BlockIq4Nl, kBlock>(p, out);
    case DType::iq4_xs:
      return each_block<BlockIq4Xs, kSuperBlock>(p, out);
    case DType::mxfp4:
      return each_block<BlockMxfp4, kBlock>(p, out);
    case DType::u8:
      return each<std::uint8_t>(p, out, [](std::uint8_t v) { return static_cast<float>(v); });
    case DType::i64:
      return each<std::int64_t>(p, out, [](std::int64_t v) { return static_cast<float>(v); });
    case DType::f8_e4m3:
      return each<std::uint8_t>(p, out, f8_to_f32);
    case DType::int4_g32:
      return each_block<BlockInt4<32>, 32>(p, out);
    case DType::int4_g128:
      return each_block<BlockInt4<128>, 128>(p, out);
    case DType::f8_g32:
      return each_block<BlockF8<32>, 32>(p, out);
    case DType::f8_g128:
      return each_block<BlockF8<128>, 128>(p, out);
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

float f8_to_f32(std::uint8_t e4m3) {
  // As f16_to_f32, with a bias 120 below float32's. The largest magnitude stands for NaN; there is no infinity.
  const std::uint32_t magnitude = e4m3 & 0x7FU;
  const std::uint32_t bits =
      magnitude == 0x7F ? 0x7FC00000U : std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude << 20) * 0x1p120F);
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(e4m3 & 0x80U) << 24));
}

std::uint8_t f32_to_f8(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80U);
  const float a = std::bit_cast<float>(bits & 0x7FFFFFFFU);
  if (a != a) return static_cast<std::uint8_t>(sign | 0x7F);
  if (a >= 448) return static_cast<std::uint8_t>(sign | 0x7E);
  if (a < 0x1p-6F) {  // a subnormal, in units of 2^-9, rounded by a float32 addition
    const float shifted = a + 0x1p14F;
    return static_cast<std::uint8_t>(sign |
                                     (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0x1p14F)));
  }
  const std::uint32_t m = bits & 0x7FFFFFFFU;
  const std::uint32_t rounded = m + 0x7FFFFU + ((m >> 20) & 1U);
  return static_cast<std::uint8_t>(sign | ((rounded >> 20) - (120U << 3)));
}

std::uint16_t f32_to_bf16(float f) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(f);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace glia::tensor
