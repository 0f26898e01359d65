// Products of one vector with many, for searching: what one instruction set offers to the room `vectorize`, beside
// KernelTable. Every function is single-threaded, allocates nothing and reads exactly the values that it is given.
// Integer results are exact, so every instruction set gives the same; float results come from 16 sums (value i in sum
// i % 16) that are added by halves, fused where the set can.
#pragma once

#include <cstdint>

namespace glia::kernels {

/// Values of a row of `dot_rows` are padded with zeros to a multiple of this.
inline constexpr std::int64_t kVectorPadding = 64;
/// Largest |q| of `dot_rows`: with rows of int8, `kMostVectorValues` products stay within int32.
inline constexpr int kMostQueryValue = 8191;
inline constexpr std::int64_t kMostVectorValues = 2048;

struct VectorKernels {
  /// out[i] = sum_j rows[i][j] q[j]; values: a multiple of kVectorPadding, at most kMostVectorValues. rows[i][j] is not
  /// -128. What rows point to is fetched ahead of its use.
  void (*dot_rows)(std::int32_t* out, const std::int8_t* const* rows, std::int64_t n, const std::int16_t* q,
                   std::int64_t values);
  /// The same of rows that lie one after the other.
  void (*dot_run)(std::int32_t* out, const std::int8_t* first, std::int64_t n, const std::int16_t* q,
                  std::int64_t values);
  /// sum_j a[j] b[j]
  float (*dot)(const float* a, const float* b, std::int64_t n);
  /// sum_j (a[j] - b[j])^2
  float (*squared_distance)(const float* a, const float* b, std::int64_t n);
  /// out[j] = x[j] * factor, the nearest integer, which must be in range
  void (*to_int8)(std::int8_t* out, const float* x, std::int64_t n, float factor);
  void (*to_int16)(std::int16_t* out, const float* x, std::int64_t n, float factor);
  /// max(|x|)
  float (*largest)(const float* x, std::int64_t n);
};

}  // namespace glia::kernels
