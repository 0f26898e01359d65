// The SIMD vocabulary on AVX-512 (F, BW, DQ, VL, VNNI): one register holds the 16 lanes. Meanings: see simd/README.md.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define GLIA_INLINE static inline __attribute__((always_inline))
#define GLIA_INLINE_MEMBER inline __attribute__((always_inline))

namespace glia::kernels::GLIA_ISA {

inline constexpr int kTokens = 8;   // activation rows of a register tile
inline constexpr int kGroups = 2;   // groups of 16 outputs of a register tile
inline constexpr int kQueries = 8;  // attention queries of a register tile
inline constexpr int kPairs = 2;    // vectors of 16 pairs that such a tile multiplies at a time

/// An integer sum that starts here has the bits of the float 1.5 * 2^23 + sum, for |sum| < 2^22.
inline constexpr std::int32_t kFloatStart = 0x4B400000;

struct F {
  __m512 v;
};
struct I {
  __m512i v;
};
struct Bytes {
  __m512i v;
};
struct Words {
  __m512i v;
};

GLIA_INLINE int load_int(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}
GLIA_INLINE F zero() { return {_mm512_setzero_ps()}; }
GLIA_INLINE F set1(float x) { return {_mm512_set1_ps(x)}; }
GLIA_INLINE F load(const float* p) { return {_mm512_loadu_ps(p)}; }
GLIA_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
GLIA_INLINE __mmask16 first_lanes(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
GLIA_INLINE F load_first(const float* p, int n) { return {_mm512_maskz_loadu_ps(first_lanes(n), p)}; }
GLIA_INLINE void store_first(float* p, F a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a.v); }
GLIA_INLINE F keep_first(F a, int n, float other) {
  return {_mm512_mask_blend_ps(first_lanes(n), _mm512_set1_ps(other), a.v)};
}
GLIA_INLINE F load(const std::uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
GLIA_INLINE F load_bf16(const std::uint16_t* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
GLIA_INLINE void store_f16(std::uint16_t* p, F a) {
  const __m512 low = _mm512_max_ps(_mm512_set1_ps(-65504.0F), a.v);
  const __m512 v = _mm512_min_ps(_mm512_set1_ps(65504.0F), low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

GLIA_INLINE F add(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
GLIA_INLINE F sub(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
GLIA_INLINE F mul(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
GLIA_INLINE F div(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
GLIA_INLINE F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
GLIA_INLINE F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
GLIA_INLINE F abs(F a) { return {_mm512_abs_ps(a.v)}; }
GLIA_INLINE F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
GLIA_INLINE F negated_fma(F a, F b, F c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }

GLIA_INLINE __m256 low_half(__m512 v) { return _mm512_castps512_ps256(v); }
GLIA_INLINE __m256 high_half(__m512 v) { return _mm512_extractf32x8_ps(v, 1); }
GLIA_INLINE float sum(F a) {
  const __m256 x = _mm256_add_ps(low_half(a.v), high_half(a.v));
  const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
}
GLIA_INLINE float largest(F a) {
  const __m256 x = _mm256_max_ps(low_half(a.v), high_half(a.v));
  const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(z, _mm_movehdup_ps(z)));
}

GLIA_INLINE I set1_int(std::int32_t x) { return {_mm512_set1_epi32(x)}; }
GLIA_INLINE I add(I a, I b) { return {_mm512_add_epi32(a.v, b.v)}; }
GLIA_INLINE I sub(I a, I b) { return {_mm512_sub_epi32(a.v, b.v)}; }
template <int n>
GLIA_INLINE I shift_left(I a) {
  return {_mm512_slli_epi32(a.v, n)};
}
GLIA_INLINE I round(F a) { return {_mm512_cvtps_epi32(a.v)}; }
GLIA_INLINE F to_float(I a) { return {_mm512_cvtepi32_ps(a.v)}; }
GLIA_INLINE F float_bits(I a) { return {_mm512_castsi512_ps(a.v)}; }
GLIA_INLINE I int_bits(F a) { return {_mm512_castps_si512(a.v)}; }
GLIA_INLINE std::int32_t sum(I a) {
  const __m256i x = _mm256_add_epi32(_mm512_castsi512_si256(a.v), _mm512_extracti64x4_epi64(a.v, 1));
  const __m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i z = _mm_add_epi32(y, _mm_shuffle_epi32(y, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(z, _mm_shuffle_epi32(z, 0xB1)));
}
/// Pairs of columns (0, 2) and (1, 3), as vpdpwssd takes them.
GLIA_INLINE void store_quads(std::int8_t* p, I a, I b) {
  const __m512i words = _mm512_packs_epi32(a.v, b.v);  // 4 columns of a, then of b, by 128 bits
  const __m512i pairs = _mm512_shufflehi_epi16(_mm512_shufflelo_epi16(words, 0xD8), 0xD8);
  _mm512_storeu_si512(p, _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), pairs));
}
GLIA_INLINE I load_signed_bytes(const std::int8_t* p) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}

GLIA_INLINE Words load_words(const std::int16_t* p) { return {_mm512_loadu_si512(p)}; }
GLIA_INLINE Words load_words(const std::int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
GLIA_INLINE Words set1_pair(const std::int16_t* p) { return {_mm512_set1_epi32(load_int(p))}; }
/// In assembly because GCC 12 copies the intrinsic's accumulator to and fro in a loop: half the speed.
GLIA_INLINE I add_pairs(I acc, Words a, Words b) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(acc.v) : "v"(a.v), "v"(b.v));
  return acc;
}
GLIA_INLINE void store_low_words(std::int16_t* p, I a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(a.v));
}
GLIA_INLINE void store_low_bytes(std::int8_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}

GLIA_INLINE Bytes load_bytes(const std::uint8_t* p) { return {_mm512_loadu_si512(p)}; }
GLIA_INLINE void store_bytes(std::uint8_t* p, Bytes a) { _mm512_storeu_si512(p, a.v); }
GLIA_INLINE Bytes low_nibbles(Bytes a) { return {_mm512_and_si512(a.v, _mm512_set1_epi8(0x0F))}; }
GLIA_INLINE Bytes high_nibbles(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 4), _mm512_set1_epi8(0x0F))};
}
GLIA_INLINE Bytes with_fifth_bits(Bytes a, const std::uint8_t* bits) {
  const __mmask64 mask = _load_mask64(reinterpret_cast<__mmask64*>(const_cast<std::uint8_t*>(bits)));
  return {_mm512_mask_add_epi8(a.v, mask, a.v, _mm512_set1_epi8(16))};
}
GLIA_INLINE Bytes with_third_bits(Bytes a, const std::uint8_t* bits) {
  const __mmask64 mask = _load_mask64(reinterpret_cast<__mmask64*>(const_cast<std::uint8_t*>(bits)));
  return {_mm512_mask_add_epi8(a.v, mask, a.v, _mm512_set1_epi8(4))};
}
template <int n>
GLIA_INLINE Bytes bit_pairs(Bytes a) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, 2 * n), _mm512_set1_epi8(3))};
}
GLIA_INLINE Bytes lookup(Bytes a, const std::uint8_t* table) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_broadcast_i32x4(t), a.v)};
}
GLIA_INLINE F load_unsigned_bytes(const std::uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
/// Sign to the top, exponent and significand to their places, the bias by an exact multiplication.
GLIA_INLINE F load_f8(const std::uint8_t* p) {
  const __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m512i kept = _mm512_and_si512(_mm512_slli_epi32(wide, 20), _mm512_set1_epi32(static_cast<int>(0x87F00000U)));
  return {_mm512_mul_ps(_mm512_castsi512_ps(kept), _mm512_set1_ps(0x1p120F))};
}
template <int n>
GLIA_INLINE F byte_of_lane(Bytes a) {
  return {_mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(a.v, 8 * n), _mm512_set1_epi32(0xFF)))};
}

GLIA_INLINE __m512i load_half(const std::int8_t* x) { return _mm512_set1_epi32(load_int(x)); }
template <int kBits>
struct Dot {
  static constexpr int kSubtracted = 0;
  struct Weights {
    __m512i words;
  };
  __m512i acc;
  template <int half>
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    return {half == 0 ? _mm512_and_si512(w.v, _mm512_set1_epi16(0xFF)) : _mm512_srli_epi16(w.v, 8)};
  }
  GLIA_INLINE_MEMBER void start(I first) { acc = first.v; }
  template <int half>
  GLIA_INLINE_MEMBER void add(Weights w, __m512i x) {
    acc = _mm512_dpwssd_epi32(acc, w.words, x);
  }
  GLIA_INLINE_MEMBER I total() const { return {acc}; }
};

template <int kBits>
struct ByteDot {
  static constexpr int kSubtracted = 0;
  using Weights = Bytes;
  __m512i acc;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return w; }
  GLIA_INLINE_MEMBER void start(I first) { acc = first.v; }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, __m512i x) {
    acc = _mm512_dpbusd_epi32(acc, w.v, x);
  }
  GLIA_INLINE_MEMBER I total() const { return {acc}; }
};

}  // namespace glia::kernels::GLIA_ISA
