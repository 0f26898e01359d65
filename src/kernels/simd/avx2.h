// The SIMD vocabulary on AVX2 with FMA and F16C: two registers hold the 16 lanes. Meanings: see simd/README.md.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define GLIA_INLINE static inline __attribute__((always_inline))
#define GLIA_INLINE_MEMBER inline __attribute__((always_inline))

namespace glia::kernels::GLIA_ISA {

inline constexpr int kTokens = 4;
inline constexpr int kGroups = 1;
inline constexpr int kQueries = 4;
inline constexpr int kPairs = 1;

/// An integer sum that starts here has the bits of the float 1.5 * 2^23 + sum, for |sum| < 2^22.
inline constexpr std::int32_t kFloatStart = 0x4B400000;

struct F {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};
struct Bytes {
  __m256i a, b;
};
struct Words {
  __m256i a, b;
};

GLIA_INLINE int load_int(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}
GLIA_INLINE F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
GLIA_INLINE F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
GLIA_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
GLIA_INLINE void store(float* p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
GLIA_INLINE __m256i first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
GLIA_INLINE F load_first(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n)), _mm256_maskload_ps(p + 8, first_lanes(n - 8))};
}
GLIA_INLINE void store_first(float* p, F x, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), x.a);
  _mm256_maskstore_ps(p + 8, first_lanes(n - 8), x.b);
}
GLIA_INLINE F keep_first(F x, int n, float other) {
  const __m256 o = _mm256_set1_ps(other);
  return {_mm256_blendv_ps(o, x.a, _mm256_castsi256_ps(first_lanes(n))),
          _mm256_blendv_ps(o, x.b, _mm256_castsi256_ps(first_lanes(n - 8)))};
}
GLIA_INLINE F load(const std::uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
GLIA_INLINE __m256 bf16_half(const std::uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
GLIA_INLINE F load_bf16(const std::uint16_t* p) { return {bf16_half(p), bf16_half(p + 8)}; }
GLIA_INLINE void store_f16_half(std::uint16_t* p, __m256 v) {
  const __m256 low = _mm256_max_ps(_mm256_set1_ps(-65504.0F), v);
  const __m256 clamped = _mm256_min_ps(_mm256_set1_ps(65504.0F), low);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(clamped, _MM_FROUND_TO_NEAREST_INT));
}
GLIA_INLINE void store_f16(std::uint16_t* p, F x) {
  store_f16_half(p, x.a);
  store_f16_half(p + 8, x.b);
}

GLIA_INLINE F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
GLIA_INLINE F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
GLIA_INLINE F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
GLIA_INLINE F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
GLIA_INLINE F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
GLIA_INLINE F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
GLIA_INLINE F abs(F x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
GLIA_INLINE F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
GLIA_INLINE F negated_fma(F x, F y, F z) { return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)}; }

GLIA_INLINE float sum(F f) {
  const __m256 x = _mm256_add_ps(f.a, f.b);
  const __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
}
GLIA_INLINE float largest(F f) {
  const __m256 x = _mm256_max_ps(f.a, f.b);
  const __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(z, _mm_movehdup_ps(z)));
}

GLIA_INLINE I set1_int(std::int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
GLIA_INLINE I add(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
GLIA_INLINE I sub(I x, I y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
template <int n>
GLIA_INLINE I shift_left(I x) {
  return {_mm256_slli_epi32(x.a, n), _mm256_slli_epi32(x.b, n)};
}
GLIA_INLINE I round(F x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
GLIA_INLINE F to_float(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
GLIA_INLINE I int_bits(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
GLIA_INLINE F float_bits(I x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
GLIA_INLINE std::int32_t sum(I i) {
  const __m256i x = _mm256_add_epi32(i.a, i.b);
  const __m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i z = _mm_add_epi32(y, _mm_shuffle_epi32(y, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(z, _mm_shuffle_epi32(z, 0xB1)));
}
/// Pairs of columns (0, 2) and (1, 3), as vpmaddwd takes them.
GLIA_INLINE void store_quads(std::int8_t* p, I x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xD8), 0xD8));
}
GLIA_INLINE void store_quads(std::int8_t* p, I x, I y) {
  store_quads(p, x);
  store_quads(p + 32, y);
}
GLIA_INLINE I load_signed_bytes(const std::int8_t* p) {
  return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8)))};
}

GLIA_INLINE Words load_words(const std::int16_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16))};
}
GLIA_INLINE Words load_words(const std::int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))};
}
GLIA_INLINE Words set1_pair(const std::int16_t* p) {
  const __m256i pair = _mm256_set1_epi32(load_int(p));
  return {pair, pair};
}
GLIA_INLINE I add_pairs(I acc, Words x, Words y) {
  return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(x.a, y.a)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(x.b, y.b))};
}
GLIA_INLINE void store_low_words(std::int16_t* p, I x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words);
}
GLIA_INLINE void store_low_bytes(std::int8_t* p, I x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}

GLIA_INLINE Bytes load_bytes(const std::uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
GLIA_INLINE void store_bytes(std::uint8_t* p, Bytes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), x.b);
}
GLIA_INLINE Bytes low_nibbles(Bytes x) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
}
GLIA_INLINE Bytes high_nibbles(Bytes x) {
  const __m256i mask = _mm256_set1_epi8(0x0F);
  return {_mm256_and_si256(_mm256_srli_epi16(x.a, 4), mask), _mm256_and_si256(_mm256_srli_epi16(x.b, 4), mask)};
}
/// `value` in every byte whose bit is set.
GLIA_INLINE __m256i spread_bits(const std::uint8_t* bits, char value) {
  const __m256i which =
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(load_int(bits)), which);
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit), _mm256_set1_epi8(value));
}
GLIA_INLINE Bytes with_fifth_bits(Bytes x, const std::uint8_t* bits) {
  return {_mm256_or_si256(x.a, spread_bits(bits, 16)), _mm256_or_si256(x.b, spread_bits(bits + 4, 16))};
}
GLIA_INLINE Bytes with_third_bits(Bytes x, const std::uint8_t* bits) {
  return {_mm256_or_si256(x.a, spread_bits(bits, 4)), _mm256_or_si256(x.b, spread_bits(bits + 4, 4))};
}
template <int n>
GLIA_INLINE Bytes bit_pairs(Bytes x) {
  const __m256i mask = _mm256_set1_epi8(3);
  return {_mm256_and_si256(_mm256_srli_epi16(x.a, 2 * n), mask), _mm256_and_si256(_mm256_srli_epi16(x.b, 2 * n), mask)};
}
GLIA_INLINE Bytes lookup(Bytes x, const std::uint8_t* table) {
  const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {_mm256_shuffle_epi8(t, x.a), _mm256_shuffle_epi8(t, x.b)};
}
GLIA_INLINE F load_unsigned_bytes(const std::uint8_t* p) {
  const __m256i a = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8)));
  return {_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)};
}
/// Sign to the top, exponent and significand to their places, the bias by an exact multiplication.
GLIA_INLINE __m256 f8_half(const std::uint8_t* p) {
  const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m256i kept = _mm256_and_si256(_mm256_slli_epi32(wide, 20), _mm256_set1_epi32(static_cast<int>(0x87F00000U)));
  return _mm256_mul_ps(_mm256_castsi256_ps(kept), _mm256_set1_ps(0x1p120F));
}
GLIA_INLINE F load_f8(const std::uint8_t* p) { return {f8_half(p), f8_half(p + 8)}; }
template <int n>
GLIA_INLINE F byte_of_lane(Bytes x) {
  const __m256i mask = _mm256_set1_epi32(0xFF);
  return {_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(x.a, 8 * n), mask)),
          _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(x.b, 8 * n), mask))};
}

GLIA_INLINE __m256i load_half(const std::int8_t* x) { return _mm256_set1_epi32(load_int(x)); }
template <int kBits>
struct Dot {
  static constexpr int kSubtracted = 0;
  struct Weights {
    __m256i a, b;
  };
  __m256i a, b;
  template <int half>
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    if constexpr (half == 0) {
      const __m256i low = _mm256_set1_epi16(0xFF);
      return {_mm256_and_si256(w.a, low), _mm256_and_si256(w.b, low)};
    } else {
      return {_mm256_srli_epi16(w.a, 8), _mm256_srli_epi16(w.b, 8)};
    }
  }
  GLIA_INLINE_MEMBER void start(I first) {
    a = first.a;
    b = first.b;
  }
  template <int half>
  GLIA_INLINE_MEMBER void add(Weights w, __m256i x) {
    a = _mm256_add_epi32(a, _mm256_madd_epi16(w.a, x));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(w.b, x));
  }
  GLIA_INLINE_MEMBER I total() const { return {a, b}; }
};

/// Weights of 6 bits: a pair's sum (2 * 63 * 127) stays within 16 bits.
template <int kBits>
struct ByteDot {
  static constexpr int kSubtracted = 0;
  using Weights = Bytes;
  __m256i a, b;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return w; }
  GLIA_INLINE_MEMBER void start(I first) {
    a = first.a;
    b = first.b;
  }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, __m256i x) {
    const __m256i ones = _mm256_set1_epi16(1);
    a = _mm256_add_epi32(a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, x), ones));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, x), ones));
  }
  GLIA_INLINE_MEMBER I total() const { return {a, b}; }
};

/// Of up to 5 bits: so do the sums of several, 8 for 4 bits (8 * 2 * 15 * 127 = 30,480), 4 for 5 (31,496).
template <int kBits>
  requires(kBits <= 5)
struct ByteDot<kBits> {
  static constexpr int kSubtracted = 0;
  static constexpr int kSteps = kBits <= 4 ? 8 : 4;
  using Weights = Bytes;
  I sum;
  __m256i a, b;  ///< 16-bit sums since step 0 or kSteps
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return w; }
  GLIA_INLINE_MEMBER void start(I first) { sum = first; }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, __m256i x) {
    const __m256i pa = _mm256_maddubs_epi16(w.a, x);
    const __m256i pb = _mm256_maddubs_epi16(w.b, x);
    if constexpr (step == kSteps) sum = total();
    a = step % kSteps == 0 ? pa : _mm256_add_epi16(a, pa);
    b = step % kSteps == 0 ? pb : _mm256_add_epi16(b, pb);
  }
  GLIA_INLINE_MEMBER I total() const {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(a, ones)), _mm256_add_epi32(sum.b, _mm256_madd_epi16(b, ones))};
  }
};

/// Of 8 bits they would saturate. q = w - 128 as |q| <= 128 against x with q's sign does not (2 * 128 * 127 = 32,512).
template <>
struct ByteDot<8> {
  static constexpr int kSubtracted = 128;
  struct Weights {
    __m256i a, b, magnitude_a, magnitude_b;
  };
  __m256i a, b;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i qa = _mm256_xor_si256(w.a, flip);
    const __m256i qb = _mm256_xor_si256(w.b, flip);
    return {qa, qb, _mm256_abs_epi8(qa), _mm256_abs_epi8(qb)};
  }
  GLIA_INLINE_MEMBER void start(I first) {
    a = first.a;
    b = first.b;
  }
  template <int step>
  GLIA_INLINE_MEMBER void add(const Weights& w, __m256i x) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i pa = _mm256_maddubs_epi16(w.magnitude_a, _mm256_sign_epi8(x, w.a));
    const __m256i pb = _mm256_maddubs_epi16(w.magnitude_b, _mm256_sign_epi8(x, w.b));
    a = _mm256_add_epi32(a, _mm256_madd_epi16(pa, ones));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(pb, ones));
  }
  GLIA_INLINE_MEMBER I total() const { return {a, b}; }
};

}  // namespace glia::kernels::GLIA_ISA
