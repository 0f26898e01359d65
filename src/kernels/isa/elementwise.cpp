// Rows: norms, quantisation to 16 bits, rotary positions, conversion, sums and factors.
#include GLIA_SIMD_HEADER

#include "kernels/isa/exp.h"
#include "kernels/isa/partial.h"
#include "kernels/isa/rows.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

/// x * factor * weight, or x where there is no weight.
GLIA_INLINE F scaled(F x, F factor, const float* weight, std::int64_t j, std::int64_t n) {
  return weight != nullptr ? mul(mul(x, factor), load_some(weight + j, n)) : x;
}

}  // namespace

float rms_factor(const float* x, std::int64_t cols, float eps) {
  F sums = zero();
  for (std::int64_t j = 0; j < cols; j += 16) {
    const F v = load_some(x + j, cols - j);
    sums = fma(v, v, sums);
  }
  return 1.0F / __builtin_sqrtf(sum(sums) / static_cast<float>(cols) + eps);
}

void scale_row(float* out, const float* x, std::int64_t cols, float factor, const float* weight) {
  const F f = set1(factor);
  for (std::int64_t j = 0; j < cols; j += 16) {
    store_some(out + j, scaled(load_some(x + j, cols - j), f, weight, j, cols - j), cols - j);
  }
}

void quantize_row(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols, float factor,
                  const float* weight) {
  constexpr int kVectors = kSuperCols / 16;
  const F f = set1(factor);
  std::int8_t* to = quants + lane * (4 * kQuantBytes);
  for (std::int64_t first = 0; first < cols; first += kSuperCols) {
    const int vectors = static_cast<int>(cols - first < kSuperCols ? cols - first : kSuperCols) / 16;
    F v[kVectors];
    F most = zero();
    for (int i = 0; i < vectors; i++) {
      v[i] = scaled(load(x + first + 16 * i), f, weight, first + 16 * i, 16);
      most = max(most, abs(v[i]));
    }
    const float range = largest(most);
    const float scale = range / kMostQuant;
    const F inverse = set1(range > 0 ? kMostQuant / range : 0.0F);
    for (int i = 0; i < vectors; i += 2, scales++) {
      const I a = round(mul(v[i], inverse));
      const I b = round(mul(v[i + 1], inverse));
      alignas(64) std::int8_t quads[kBlockCols * kQuantBytes];
      store_quads(quads, a, b);
      for (int g = 0; g < kBlockCols / 4; g++, to += 4 * kPanelRows * kQuantBytes) {
        __builtin_memcpy(to, quads + 4 * kQuantBytes * g, 4 * kQuantBytes);
      }
      const std::int32_t head = sum(a);
      const std::int32_t total = head + sum(b);
      scales->scale[lane] = scale;
      scales->sum[lane] = static_cast<float>(total);
      scales->negative_sum[lane] = -total;
      scales->negative_sum_head[lane] = -head;
    }
  }
}

void quantize_row_int8(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols,
                       float factor, const float* weight) {
  const F f = set1(factor);
  std::int8_t* to = quants + lane * 4;
  for (std::int64_t first = 0; first < cols; first += kBlockCols, scales++) {
    const F v = scaled(load(x + first), f, weight, first, 16);
    const F w = scaled(load(x + first + 16), f, weight, first + 16, 16);
    const float range = largest(max(abs(v), abs(w)));
    const float scale = range / kMostQuant8;
    const F inverse = set1(range > 0 ? kMostQuant8 / range : 0.0F);
    const I a = round(mul(v, inverse));
    const I b = round(mul(w, inverse));
    alignas(32) std::int8_t bytes[kBlockCols];
    store_low_bytes(bytes, a);
    store_low_bytes(bytes + 16, b);
    for (int g = 0; g < kBlockCols / 4; g++, to += 4 * kPanelRows) __builtin_memcpy(to, bytes + 4 * g, 4);
    const std::int32_t head = sum(a);
    const std::int32_t total = head + sum(b);
    scales->scale[lane] = scale;
    scales->sum[lane] = scale * static_cast<float>(total);
    scales->negative_sum[lane] = -total;
    scales->negative_sum_head[lane] = -head;
  }
}

void quantize_row_words(std::int16_t* quants, float* scales, int lane, const float* x, std::int64_t cols, float factor,
                        const float* weight) {
  constexpr int kVectors = kWordCols / 16;
  const F f = set1(factor);
  std::int16_t* to = quants + lane * kWordCols;
  for (std::int64_t first = 0; first < cols; first += kWordCols, scales += kPanelRows, to += kPanelRows * kWordCols) {
    const int vectors = static_cast<int>(cols - first < kWordCols ? cols - first : kWordCols) / 16;
    F v[kVectors];
    F most = zero();
    F doubt = zero();  // becomes NaN by what is not finite, which integers would hide
    for (int i = 0; i < vectors; i++) {
      v[i] = scaled(load(x + first + 16 * i), f, weight, first + 16 * i, 16);
      most = max(most, abs(v[i]));
      doubt = fma(v[i], zero(), doubt);
    }
    const float range = largest(most);
    scales[lane] = range / kMostWord + sum(doubt);
    const F inverse = set1(range > 0 ? kMostWord / range : 0.0F);
    for (int i = 0; i < vectors; i++) store_low_words(to + 16 * i, round(mul(v[i], inverse)));
  }
}

void layer_norm(float* out, const float* x, std::int64_t cols, const float* weight, const float* bias, float eps) {
  F sums = zero();
  for (std::int64_t j = 0; j < cols; j += 16) sums = add(sums, load_some(x + j, cols - j));
  const F mean = set1(sum(sums) / static_cast<float>(cols));
  F squares = zero();
  for (std::int64_t j = 0; j < cols; j += 16) {
    F d = sub(load_some(x + j, cols - j), mean);
    if (cols - j < 16) d = keep_first(d, static_cast<int>(cols - j), 0.0F);
    squares = fma(d, d, squares);
  }
  const F factor = set1(1.0F / __builtin_sqrtf(sum(squares) / static_cast<float>(cols) + eps));
  for (std::int64_t j = 0; j < cols; j += 16) {
    const std::int64_t n = cols - j;
    F y = mul(mul(sub(load_some(x + j, n), mean), factor), load_some(weight + j, n));
    if (bias != nullptr) y = add(y, load_some(bias + j, n));
    store_some(out + j, y, n);
  }
}

void scale(float* x, std::int64_t n, float factor) {
  const F f = set1(factor);
  for (std::int64_t j = 0; j < n; j += 16) store_some(x + j, mul(load_some(x + j, n - j), f), n - j);
}

void add_row(float* out, const float* x, std::int64_t n, float factor) {
  const F f = set1(factor);
  for (std::int64_t j = 0; j < n; j += 16) {
    store_some(out + j, fma(load_some(x + j, n - j), f, load_some(out + j, n - j)), n - j);
  }
}

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, bool interleaved,
          const float* cos_sin) {
  const std::int64_t half = dims / 2;
  const float* cosines = cos_sin;
  const float* sines = cos_sin + half;
  for (std::int64_t h = 0; h < heads; h++, x += head_dim) {
    if (interleaved) {
      for (std::int64_t j = 0; j < half; j++) {
        const float a = x[2 * j];
        const float b = x[2 * j + 1];
        x[2 * j] = a * cosines[j] - b * sines[j];
        x[2 * j + 1] = b * cosines[j] + a * sines[j];
      }
    } else {
      for (std::int64_t j = 0; j < half; j++) {
        const float a = x[j];
        const float b = x[j + half];
        x[j] = a * cosines[j] - b * sines[j];
        x[j + half] = b * cosines[j] + a * sines[j];
      }
    }
  }
}

void to_f16(std::uint16_t* out, const float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 16) {
    std::uint16_t halves[16];
    store_f16(halves, load_some(x + j, n - j));
    __builtin_memcpy(out + j, halves, static_cast<std::size_t>(n - j >= 16 ? 16 : n - j) * 2);
  }
}

void to_bf16(std::uint16_t* out, const float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j++) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + j, sizeof(bits));
    out[j] = static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
  }
}

float length(const float* x, std::int64_t n) {
  F sums = zero();
  for (std::int64_t j = 0; j < n; j += 16) {
    const F v = load_some(x + j, n - j);
    sums = fma(v, v, sums);
  }
  return __builtin_sqrtf(sum(sums));
}

float largest(const float* x, std::int64_t n) {
  F most = zero();
  for (std::int64_t j = 0; j < n; j += 16) most = max(most, abs(load_some(x + j, n - j)));
  return largest(most);
}

void to_int16(std::int16_t* out, const float* x, std::int64_t n, float factor) {
  for (std::int64_t j = 0; j < n; j += 16) {
    std::int16_t words[16];
    store_low_words(words, round(mul(load_some(x + j, n - j), set1(factor))));
    __builtin_memcpy(out + j, words, static_cast<std::size_t>(n - j >= 16 ? 16 : n - j) * 2);
  }
}

void to_int8(std::int8_t* out, const float* x, std::int64_t n, float factor) {
  for (std::int64_t j = 0; j < n; j += 16) {
    std::int16_t words[16];
    store_low_words(words, round(mul(load_some(x + j, n - j), set1(factor))));
    for (std::int64_t i = 0; i < 16 && i < n - j; i++) out[j + i] = static_cast<std::int8_t>(words[i]);
  }
}

void exp_row(float* out, const float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 16) store_some(out + j, exp(load_some(x + j, n - j)), n - j);
}

}  // namespace glia::kernels::GLIA_ISA
