// Element types, among them GGML's quantised blocks.
// Source: the GGUF specification (block layouts of ggml's quantisation types), IEEE 754, bfloat16, FP8 E4M3
// (Micikevicius et al. 2022, the variant without infinities). Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace glia::tensor {

enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  i32,
  i8,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q4_k,
  q5_k,
  q6_k,
  q2_k,
  q3_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  u8,
  i64,
  f8_e4m3,  ///< without a scale, as a safetensors file holds it
  // Glia's own, for what Hugging Face folders keep as several tensors: a scale (and zero point) per 32 or 128 columns.
  int4_g32,
  int4_g128,
  f8_g32,
  f8_g128,
};
inline constexpr int kDTypes = 25;

struct DTypeInfo {
  std::string_view name;  ///< as in GGUF tools, e.g. "Q4_1"
  std::uint32_t block;    ///< elements per block (1 for plain types)
  std::uint32_t bytes;    ///< bytes per block
};

const DTypeInfo& info(DType type);
/// Whether the elements are whole numbers that are no weights (i8, i32, i64, u8).
bool is_integer(DType type);

/// Bytes of `elements` values in one row. Errors: throws glia::Error(invalid_data) when `elements` is not a whole
/// number of blocks or the size overflows.
std::uint64_t row_bytes(DType type, std::uint64_t elements);

/// Scalar reference: unpacks out.size() values of one row. `in` must hold row_bytes(type, out.size()) bytes.
void dequantize_row(DType type, std::span<const std::byte> in, std::span<float> out);

/// Scalar reference of the inverse, for tests, benches and fixtures; rounds to nearest. Types: every one
/// above. `out` must hold row_bytes(type, in.size()) bytes.
void quantize_row(DType type, std::span<const float> in, std::span<std::byte> out);

float f16_to_f32(std::uint16_t h);
std::uint16_t f32_to_f16(float f);
inline float bf16_to_f32(std::uint16_t b) {
  const std::uint32_t u = static_cast<std::uint32_t>(b) << 16;
  return __builtin_bit_cast(float, u);
}
std::uint16_t f32_to_bf16(float f);
float f8_to_f32(std::uint8_t e4m3);
std::uint8_t f32_to_f8(float f);  ///< saturates at +-448

}  // namespace glia::tensor
