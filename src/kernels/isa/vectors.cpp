// Vector search: one vector's products with many rows of bytes, exact products and distances of floats.
#include GLIA_SIMD_HEADER

#include "kernels/isa/vectors.h"

#include "kernels/isa/partial.h"
#include "kernels/isa/rows.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kAhead = 3;           // rows fetched before they are used
constexpr std::int64_t kLine = 64;  // bytes of a cache line

GLIA_INLINE void fetch(const std::int8_t* row, std::int64_t bytes) {
  for (std::int64_t j = 0; j < bytes; j += kLine) __builtin_prefetch(row + j);
}

GLIA_INLINE std::int32_t dot_row(const std::int8_t* row, const std::int16_t* q, std::int64_t values) {
  I a = set1_int(0);
  I b = set1_int(0);
  for (std::int64_t j = 0; j < values; j += 64) {
    a = add_pairs(a, load_words(row + j), load_words(q + j));
    b = add_pairs(b, load_words(row + j + 32), load_words(q + j + 32));
  }
  return sum(add(a, b));
}

void dot_rows(std::int32_t* out, const std::int8_t* const* rows, std::int64_t n, const std::int16_t* q,
              std::int64_t values) {
  for (std::int64_t i = 0; i < n && i < kAhead; i++) fetch(rows[i], values);
  for (std::int64_t i = 0; i < n; i++) {
    if (i + kAhead < n) fetch(rows[i + kAhead], values);
    out[i] = dot_row(rows[i], q, values);
  }
}

void dot_run(std::int32_t* out, const std::int8_t* first, std::int64_t n, const std::int16_t* q, std::int64_t values) {
  for (std::int64_t i = 0; i < n; i++) out[i] = dot_row(first + i * values, q, values);
}

float dot(const float* a, const float* b, std::int64_t n) {
  F sums = zero();
  for (std::int64_t j = 0; j < n; j += 16) sums = fma(load_some(a + j, n - j), load_some(b + j, n - j), sums);
  return sum(sums);
}

float squared_distance(const float* a, const float* b, std::int64_t n) {
  F sums = zero();
  for (std::int64_t j = 0; j < n; j += 16) {
    const F d = sub(load_some(a + j, n - j), load_some(b + j, n - j));
    sums = fma(d, d, sums);
  }
  return sum(sums);
}

}  // namespace

const VectorKernels kVectorKernels = {
    .dot_rows = dot_rows,
    .dot_run = dot_run,
    .dot = dot,
    .squared_distance = squared_distance,
    .to_int8 = to_int8,
    .to_int16 = to_int16,
    .largest = largest,
};

}  // namespace glia::kernels::GLIA_ISA
