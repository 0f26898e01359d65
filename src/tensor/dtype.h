// Element types, among them GGML's quantised blocks.
// Source: the GGUF specification (block layouts of ggml's quantisation types), IEEE 754, bfloat16.
// Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace glia::tensor {

enum class DType : std::uint8_t { f32, f16, bf16, i32, i8, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k };

struct DTypeInfo {
  std::string_view name;  ///< as in GGUF tools, e.g. "Q4_1"
  std::uint32_t block;    ///< elements per block (1 for plain types)
  std::uint32_t bytes;    ///< bytes per block
};

const DTypeInfo& info(DType type);

/// Bytes of `elements` values in one row. Errors: throws glia::Error(invalid_data) when `elements` is not a whole
/// number of blocks or the size overflows.
std::uint64_t row_bytes(DType type, std::uint64_t elements);

/// Scalar reference: unpacks out.size() values of one row. `in` must hold row_bytes(type, out.size()) bytes.
void dequantize_row(DType type, std::span<const std::byte> in, std::span<float> out);

/// Scalar reference of the inverse, for tests, benches and fixtures; rounds to nearest. Types: f32 f16 bf16 and every
/// quantised type above. `out` must hold row_bytes(type, in.size()) bytes.
void quantize_row(DType type, std::span<const float> in, std::span<std::byte> out);

float f16_to_f32(std::uint16_t h);
std::uint16_t f32_to_f16(float f);
inline float bf16_to_f32(std::uint16_t b) {
  const std::uint32_t u = static_cast<std::uint32_t>(b) << 16;
  return __builtin_bit_cast(float, u);
}
std::uint16_t f32_to_bf16(float f);

}  // namespace glia::tensor
