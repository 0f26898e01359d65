// The SIMD vocabulary on any x86-64 (SSE2): four registers hold the 16 lanes. Meanings: see simd/README.md.
#pragma once

#include <emmintrin.h>

#include <cstdint>

#define GLIA_INLINE static inline __attribute__((always_inline))
#define GLIA_INLINE_MEMBER inline __attribute__((always_inline))

namespace glia::kernels::GLIA_ISA {

inline constexpr int kTokens = 2;
inline constexpr int kGroups = 1;
inline constexpr int kQueries = 2;
inline constexpr int kPairs = 1;

inline constexpr std::int32_t kFloatStart = 0;  // products of such floats would round twice

struct F {
  __m128 v[4];
};
struct I {
  __m128i v[4];
};
struct Bytes {
  __m128i v[4];
};
struct Words {
  __m128i v[4];
};

GLIA_INLINE int load_int(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}
// Applies `op` to each of the four registers.
template <class Out, class Op>
GLIA_INLINE Out each(Op op) {
  return {{op(0), op(1), op(2), op(3)}};
}

GLIA_INLINE F set1(float x) {
  const __m128 v = _mm_set1_ps(x);
  return {{v, v, v, v}};
}
GLIA_INLINE F zero() { return set1(0.0F); }
GLIA_INLINE F load(const float* p) {
  return each<F>([=](int i) { return _mm_loadu_ps(p + 4 * i); });
}
GLIA_INLINE void store(float* p, F a) {
  for (int i = 0; i < 4; i++) _mm_storeu_ps(p + 4 * i, a.v[i]);
}
GLIA_INLINE F load_first(const float* p, int n) {
  float lanes[16] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}
GLIA_INLINE void store_first(float* p, F a, int n) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}
GLIA_INLINE F keep_first(F a, int n, float other) {
  return each<F>([=](int i) {
    const __m128i mask = _mm_cmpgt_epi32(_mm_set1_epi32(n - 4 * i), _mm_setr_epi32(0, 1, 2, 3));
    const __m128 keep = _mm_castsi128_ps(mask);
    return _mm_or_ps(_mm_and_ps(keep, a.v[i]), _mm_andnot_ps(keep, _mm_set1_ps(other)));
  });
}
/// As tensor::f16_to_f32: the exponent's bias by an exact multiplication, infinities and NaNs by hand.
GLIA_INLINE __m128 f16_quarter(__m128i h) {
  const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7FFF)), 13);
  const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0x1p112F));
  const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32((0x7C00 << 13) - 1));
  const __m128i top = _mm_and_si128(special, _mm_set1_epi32(0x7F800000));
  const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
  return _mm_or_ps(scaled, _mm_castsi128_ps(_mm_or_si128(top, sign)));
}
GLIA_INLINE __m128i widen_words(const std::uint16_t* p) {
  return _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), _mm_setzero_si128());
}
GLIA_INLINE F load(const std::uint16_t* p) {
  return each<F>([=](int i) { return f16_quarter(widen_words(p + 4 * i)); });
}
GLIA_INLINE F load_bf16(const std::uint16_t* p) {
  return each<F>([=](int i) { return _mm_castsi128_ps(_mm_slli_epi32(widen_words(p + 4 * i), 16)); });
}
/// As tensor::f32_to_f16 for magnitudes up to 65504, branch-free: normal numbers by integer rounding, subnormals by a
/// float32 addition.
GLIA_INLINE __m128i f16_bits(__m128 x) {
  const __m128 most = _mm_set1_ps(65504.0F);
  const __m128 v = _mm_min_ps(most, _mm_max_ps(_mm_sub_ps(_mm_setzero_ps(), most), x));
  const __m128i bits = _mm_castps_si128(v);
  const __m128i a = _mm_and_si128(bits, _mm_set1_epi32(0x7FFFFFFF));
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(a, 13), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(_mm_add_epi32(a, _mm_set1_epi32(0x0FFF)), odd);
  const __m128i normal = _mm_srli_epi32(_mm_sub_epi32(rounded, _mm_set1_epi32(0x38000000)), 13);
  const __m128i half = _mm_castps_si128(_mm_add_ps(_mm_castsi128_ps(a), _mm_set1_ps(0.5F)));
  const __m128i small = _mm_sub_epi32(half, _mm_set1_epi32(0x3F000000));
  const __m128i is_small = _mm_cmpgt_epi32(_mm_set1_epi32(0x38800000), a);
  const __m128i magnitude = _mm_or_si128(_mm_and_si128(is_small, small), _mm_andnot_si128(is_small, normal));
  return _mm_or_si128(magnitude, _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(0x8000)));
}
GLIA_INLINE void store_f16(std::uint16_t* p, F a) {
  for (int i = 0; i < 16; i += 8) {
    // Sign-extended words survive the signed pack unchanged.
    const __m128i lo = _mm_srai_epi32(_mm_slli_epi32(f16_bits(a.v[i / 4]), 16), 16);
    const __m128i hi = _mm_srai_epi32(_mm_slli_epi32(f16_bits(a.v[i / 4 + 1]), 16), 16);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i), _mm_packs_epi32(lo, hi));
  }
}

GLIA_INLINE F add(F a, F b) {
  return each<F>([=](int i) { return _mm_add_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F sub(F a, F b) {
  return each<F>([=](int i) { return _mm_sub_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F mul(F a, F b) {
  return each<F>([=](int i) { return _mm_mul_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F div(F a, F b) {
  return each<F>([=](int i) { return _mm_div_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F max(F a, F b) {
  return each<F>([=](int i) { return _mm_max_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F min(F a, F b) {
  return each<F>([=](int i) { return _mm_min_ps(a.v[i], b.v[i]); });
}
GLIA_INLINE F abs(F a) {
  return each<F>([=](int i) { return _mm_andnot_ps(_mm_set1_ps(-0.0F), a.v[i]); });
}
/// Two roundings: SSE2 has no fused form.
GLIA_INLINE F fma(F a, F b, F c) { return add(mul(a, b), c); }
GLIA_INLINE F negated_fma(F a, F b, F c) { return sub(c, mul(a, b)); }

GLIA_INLINE float sum(F a) {
  const __m128 y = _mm_add_ps(_mm_add_ps(a.v[0], a.v[2]), _mm_add_ps(a.v[1], a.v[3]));
  const __m128 z = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(z, _mm_shuffle_ps(z, z, 1)));
}
GLIA_INLINE float largest(F a) {
  const __m128 y = _mm_max_ps(_mm_max_ps(a.v[0], a.v[2]), _mm_max_ps(a.v[1], a.v[3]));
  const __m128 z = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(z, _mm_shuffle_ps(z, z, 1)));
}

GLIA_INLINE I set1_int(std::int32_t x) {
  const __m128i v = _mm_set1_epi32(x);
  return {{v, v, v, v}};
}
GLIA_INLINE I add(I a, I b) {
  return each<I>([=](int i) { return _mm_add_epi32(a.v[i], b.v[i]); });
}
GLIA_INLINE I sub(I a, I b) {
  return each<I>([=](int i) { return _mm_sub_epi32(a.v[i], b.v[i]); });
}
template <int n>
GLIA_INLINE I shift_left(I a) {
  return each<I>([=](int i) { return _mm_slli_epi32(a.v[i], n); });
}
GLIA_INLINE I round(F a) {
  return each<I>([=](int i) { return _mm_cvtps_epi32(a.v[i]); });
}
GLIA_INLINE F to_float(I a) {
  return each<F>([=](int i) { return _mm_cvtepi32_ps(a.v[i]); });
}
GLIA_INLINE I int_bits(F a) {
  return each<I>([=](int i) { return _mm_castps_si128(a.v[i]); });
}
GLIA_INLINE F float_bits(I a) {
  return each<F>([=](int i) { return _mm_castsi128_ps(a.v[i]); });
}
GLIA_INLINE std::int32_t sum(I a) {
  const __m128i y = _mm_add_epi32(_mm_add_epi32(a.v[0], a.v[2]), _mm_add_epi32(a.v[1], a.v[3]));
  const __m128i z = _mm_add_epi32(y, _mm_shuffle_epi32(y, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(z, _mm_shuffle_epi32(z, 0xB1)));
}
/// Pairs of columns (0, 2) and (1, 3), as pmaddwd takes them.
GLIA_INLINE void store_quads(std::int8_t* p, I a, I b) {
  for (int i = 0; i < 4; i++) {
    const I& from = i < 2 ? a : b;
    const __m128i words = _mm_packs_epi32(from.v[i % 2 * 2], from.v[i % 2 * 2 + 1]);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i),
                     _mm_shufflehi_epi16(_mm_shufflelo_epi16(words, 0xD8), 0xD8));
  }
}
GLIA_INLINE I load_signed_bytes(const std::int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i lo = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
  const __m128i hi = _mm_srai_epi16(_mm_unpackhi_epi8(bytes, bytes), 8);
  return {{_mm_srai_epi32(_mm_unpacklo_epi16(lo, lo), 16), _mm_srai_epi32(_mm_unpackhi_epi16(lo, lo), 16),
           _mm_srai_epi32(_mm_unpacklo_epi16(hi, hi), 16), _mm_srai_epi32(_mm_unpackhi_epi16(hi, hi), 16)}};
}

GLIA_INLINE Words load_words(const std::int16_t* p) {
  return each<Words>([=](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8 * i)); });
}
GLIA_INLINE Words load_words(const std::int8_t* p) {
  return each<Words>([=](int i) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i));
    return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
  });
}
GLIA_INLINE Words set1_pair(const std::int16_t* p) {
  const __m128i pair = _mm_set1_epi32(load_int(p));
  return {{pair, pair, pair, pair}};
}
GLIA_INLINE I add_pairs(I acc, Words a, Words b) {
  return each<I>([=](int i) { return _mm_add_epi32(acc.v[i], _mm_madd_epi16(a.v[i], b.v[i])); });
}
GLIA_INLINE void store_low_words(std::int16_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(a.v[0], a.v[1]));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm_packs_epi32(a.v[2], a.v[3]));
}
GLIA_INLINE void store_low_bytes(std::int8_t* p, I a) {
  const __m128i words = _mm_packs_epi32(a.v[0], a.v[1]);
  const __m128i more = _mm_packs_epi32(a.v[2], a.v[3]);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, more));
}

GLIA_INLINE Bytes load_bytes(const std::uint8_t* p) {
  return each<Bytes>([=](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i)); });
}
GLIA_INLINE void store_bytes(std::uint8_t* p, Bytes a) {
  for (int i = 0; i < 4; i++) _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i), a.v[i]);
}
GLIA_INLINE Bytes low_nibbles(Bytes a) {
  return each<Bytes>([=](int i) { return _mm_and_si128(a.v[i], _mm_set1_epi8(0x0F)); });
}
GLIA_INLINE Bytes high_nibbles(Bytes a) {
  return each<Bytes>([=](int i) { return _mm_and_si128(_mm_srli_epi16(a.v[i], 4), _mm_set1_epi8(0x0F)); });
}
/// `value` in every byte whose bit (of the 16 at `bits`) is set.
GLIA_INLINE __m128i spread_bits(const std::uint8_t* bits, char value) {
  const __m128i two = _mm_cvtsi32_si128(bits[0] | (bits[1] << 8));
  const __m128i pairs = _mm_shufflelo_epi16(_mm_unpacklo_epi8(two, two), 0x50);
  const __m128i spread = _mm_shuffle_epi32(pairs, 0x50);
  const __m128i bit = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(spread, bit), bit), _mm_set1_epi8(value));
}
GLIA_INLINE Bytes with_fifth_bits(Bytes a, const std::uint8_t* bits) {
  return each<Bytes>([=](int i) { return _mm_or_si128(a.v[i], spread_bits(bits + 2 * i, 16)); });
}
GLIA_INLINE Bytes with_third_bits(Bytes a, const std::uint8_t* bits) {
  return each<Bytes>([=](int i) { return _mm_or_si128(a.v[i], spread_bits(bits + 2 * i, 4)); });
}
template <int n>
GLIA_INLINE Bytes bit_pairs(Bytes a) {
  return each<Bytes>([=](int i) { return _mm_and_si128(_mm_srli_epi16(a.v[i], 2 * n), _mm_set1_epi8(3)); });
}
/// SSE2 shuffles no bytes: one comparison per entry.
GLIA_INLINE Bytes lookup(Bytes a, const std::uint8_t* table) {
  return each<Bytes>([=](int i) {
    __m128i out = _mm_setzero_si128();
    for (int q = 0; q < 16; q++) {
      const __m128i here = _mm_cmpeq_epi8(a.v[i], _mm_set1_epi8(static_cast<char>(q)));
      out = _mm_or_si128(out, _mm_and_si128(here, _mm_set1_epi8(static_cast<char>(table[q]))));
    }
    return out;
  });
}
GLIA_INLINE F load_unsigned_bytes(const std::uint8_t* p) {
  const __m128i none = _mm_setzero_si128();
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i lo = _mm_unpacklo_epi8(bytes, none);
  const __m128i hi = _mm_unpackhi_epi8(bytes, none);
  return {{_mm_cvtepi32_ps(_mm_unpacklo_epi16(lo, none)), _mm_cvtepi32_ps(_mm_unpackhi_epi16(lo, none)),
           _mm_cvtepi32_ps(_mm_unpacklo_epi16(hi, none)), _mm_cvtepi32_ps(_mm_unpackhi_epi16(hi, none))}};
}
/// Sign to the top, exponent and significand to their places, the bias by an exact multiplication.
GLIA_INLINE F load_f8(const std::uint8_t* p) {
  const I wide = load_signed_bytes(reinterpret_cast<const std::int8_t*>(p));
  return each<F>([=](int i) {
    const __m128i kept = _mm_and_si128(_mm_slli_epi32(wide.v[i], 20), _mm_set1_epi32(static_cast<int>(0x87F00000U)));
    return _mm_mul_ps(_mm_castsi128_ps(kept), _mm_set1_ps(0x1p120F));
  });
}
template <int n>
GLIA_INLINE F byte_of_lane(Bytes a) {
  return each<F>(
      [=](int i) { return _mm_cvtepi32_ps(_mm_and_si128(_mm_srli_epi32(a.v[i], 8 * n), _mm_set1_epi32(0xFF))); });
}

GLIA_INLINE __m128i load_half(const std::int8_t* x) { return _mm_set1_epi32(load_int(x)); }
template <int kBits>
struct Dot {
  static constexpr int kSubtracted = 0;
  struct Weights {
    __m128i v[4];
  };
  I acc;
  template <int half>
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    return each<Weights>(
        [=](int i) { return half == 0 ? _mm_and_si128(w.v[i], _mm_set1_epi16(0xFF)) : _mm_srli_epi16(w.v[i], 8); });
  }
  GLIA_INLINE_MEMBER void start(I first) { acc = first; }
  template <int half>
  GLIA_INLINE_MEMBER void add(Weights w, __m128i x) {
    for (int i = 0; i < 4; i++) acc.v[i] = _mm_add_epi32(acc.v[i], _mm_madd_epi16(w.v[i], x));
  }
  GLIA_INLINE_MEMBER I total() const { return acc; }
};

/// SSE2 multiplies no bytes: both sides widen to words, even columns and odd ones apart.
template <int kBits>
struct ByteDot {
  static constexpr int kSubtracted = 0;
  using Weights = Bytes;
  I acc;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return w; }
  GLIA_INLINE_MEMBER void start(I first) { acc = first; }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, __m128i x) {
    const __m128i even = _mm_srai_epi16(_mm_slli_epi16(x, 8), 8);
    const __m128i odd = _mm_srai_epi16(x, 8);
    for (int i = 0; i < 4; i++) {
      const __m128i low = _mm_madd_epi16(_mm_and_si128(w.v[i], _mm_set1_epi16(0xFF)), even);
      const __m128i high = _mm_madd_epi16(_mm_srli_epi16(w.v[i], 8), odd);
      acc.v[i] = _mm_add_epi32(acc.v[i], _mm_add_epi32(low, high));
    }
  }
  GLIA_INLINE_MEMBER I total() const { return acc; }
};

}  // namespace glia::kernels::GLIA_ISA
