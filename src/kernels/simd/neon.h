// The SIMD vocabulary on any aarch64 (Advanced SIMD), but for Dot: four registers hold the 16 lanes. Meanings: see
// simd/README.md. It is included by the header of a set, never by a kernel.
#pragma once

#include <arm_neon.h>

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
  float32x4_t v[4];
};
struct I {
  int32x4_t v[4];
};
struct Bytes {
  uint8x16_t v[4];
};
struct Words {
  int16x8_t v[4];
};

// Applies `op` to each of the four registers.
template <class Out, class Op>
GLIA_INLINE Out each(Op op) {
  return {{op(0), op(1), op(2), op(3)}};
}

GLIA_INLINE int load_int(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}
GLIA_INLINE F set1(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {{v, v, v, v}};
}
GLIA_INLINE F zero() { return set1(0.0F); }
GLIA_INLINE F load(const float* p) {
  return each<F>([=](int i) { return vld1q_f32(p + 4 * i); });
}
GLIA_INLINE void store(float* p, F a) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
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
  constexpr std::int32_t kLanes[4] = {0, 1, 2, 3};
  return each<F>([=](int i) {
    const uint32x4_t keep = vcgtq_s32(vdupq_n_s32(n - 4 * i), vld1q_s32(kLanes));
    return vbslq_f32(keep, a.v[i], vdupq_n_f32(other));
  });
}
GLIA_INLINE F load(const std::uint16_t* p) {
  return each<F>([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
}
GLIA_INLINE F load_bf16(const std::uint16_t* p) {
  return each<F>([=](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)); });
}
GLIA_INLINE void store_f16(std::uint16_t* p, F a) {
  const float32x4_t most = vdupq_n_f32(65504.0F);
  for (int i = 0; i < 4; i++) {
    const float32x4_t v = vminq_f32(most, vmaxq_f32(vnegq_f32(most), a.v[i]));
    vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v)));
  }
}

GLIA_INLINE F add(F a, F b) {
  return each<F>([=](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F sub(F a, F b) {
  return each<F>([=](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F mul(F a, F b) {
  return each<F>([=](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F div(F a, F b) {
  return each<F>([=](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F max(F a, F b) {
  return each<F>([=](int i) { return vmaxq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F min(F a, F b) {
  return each<F>([=](int i) { return vminq_f32(a.v[i], b.v[i]); });
}
GLIA_INLINE F abs(F a) {
  return each<F>([=](int i) { return vabsq_f32(a.v[i]); });
}
GLIA_INLINE F fma(F a, F b, F c) {
  return each<F>([=](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
GLIA_INLINE F negated_fma(F a, F b, F c) {
  return each<F>([=](int i) { return vfmsq_f32(c.v[i], a.v[i], b.v[i]); });
}

GLIA_INLINE float sum(F a) {
  const float32x4_t y = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  return vpadds_f32(vadd_f32(vget_low_f32(y), vget_high_f32(y)));
}
GLIA_INLINE float largest(F a) { return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[2]), vmaxq_f32(a.v[1], a.v[3]))); }

GLIA_INLINE I set1_int(std::int32_t x) {
  const int32x4_t v = vdupq_n_s32(x);
  return {{v, v, v, v}};
}
GLIA_INLINE I add(I a, I b) {
  return each<I>([=](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
GLIA_INLINE I sub(I a, I b) {
  return each<I>([=](int i) { return vsubq_s32(a.v[i], b.v[i]); });
}
template <int n>
GLIA_INLINE I shift_left(I a) {
  return each<I>([=](int i) { return vshlq_n_s32(a.v[i], n); });
}
GLIA_INLINE I round(F a) {
  return each<I>([=](int i) { return vcvtnq_s32_f32(a.v[i]); });
}
GLIA_INLINE F to_float(I a) {
  return each<F>([=](int i) { return vcvtq_f32_s32(a.v[i]); });
}
GLIA_INLINE I int_bits(F a) {
  return each<I>([=](int i) { return vreinterpretq_s32_f32(a.v[i]); });
}
GLIA_INLINE F float_bits(I a) {
  return each<F>([=](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
GLIA_INLINE std::int32_t sum(I a) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[2]), vaddq_s32(a.v[1], a.v[3])));
}
GLIA_INLINE void store_low_bytes(std::int8_t* p, I a) {
  const int16x8_t low = vcombine_s16(vmovn_s32(a.v[0]), vmovn_s32(a.v[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(a.v[2]), vmovn_s32(a.v[3]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
/// q = 255 high + low, both in [-127, 127]: 4 high bytes of 4 columns, then 4 low ones.
GLIA_INLINE void store_quads(std::int8_t* p, I a, I b) {
  for (int half = 0; half < 2; half++) {
    const I q = half == 0 ? a : b;
    const I high = round(mul(to_float(q), set1(1.0F / 255)));
    alignas(16) std::int8_t bytes[2][16];
    store_low_bytes(bytes[0], high);
    store_low_bytes(bytes[1], add(sub(q, shift_left<8>(high)), high));
    for (int g = 0; g < 4; g++) {
      __builtin_memcpy(p + 32 * half + 8 * g, bytes[0] + 4 * g, 4);
      __builtin_memcpy(p + 32 * half + 8 * g + 4, bytes[1] + 4 * g, 4);
    }
  }
}
GLIA_INLINE I join_planes(I high, I low) { return add(sub(shift_left<8>(high), high), low); }
GLIA_INLINE I load_signed_bytes(const std::int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_s8(vget_high_s8(bytes));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
           vmovl_s16(vget_high_s16(high))}};
}

GLIA_INLINE Words load_words(const std::int16_t* p) {
  return each<Words>([=](int i) { return vld1q_s16(p + 8 * i); });
}
GLIA_INLINE Words load_words(const std::int8_t* p) {
  return each<Words>([=](int i) { return vmovl_s8(vld1_s8(p + 8 * i)); });
}
GLIA_INLINE Words set1_pair(const std::int16_t* p) {
  const int16x8_t pair = vreinterpretq_s16_s32(vdupq_n_s32(load_int(p)));
  return {{pair, pair, pair, pair}};
}
GLIA_INLINE I add_pairs(I acc, Words a, Words b) {
  return each<I>([=](int i) {
    const int32x4_t low = vmull_s16(vget_low_s16(a.v[i]), vget_low_s16(b.v[i]));
    return vaddq_s32(acc.v[i], vpaddq_s32(low, vmull_high_s16(a.v[i], b.v[i])));
  });
}
GLIA_INLINE void store_low_words(std::int16_t* p, I a) {
  vst1q_s16(p, vcombine_s16(vmovn_s32(a.v[0]), vmovn_s32(a.v[1])));
  vst1q_s16(p + 8, vcombine_s16(vmovn_s32(a.v[2]), vmovn_s32(a.v[3])));
}

GLIA_INLINE Bytes load_bytes(const std::uint8_t* p) {
  return each<Bytes>([=](int i) { return vld1q_u8(p + 16 * i); });
}
GLIA_INLINE void store_bytes(std::uint8_t* p, Bytes a) {
  for (int i = 0; i < 4; i++) vst1q_u8(p + 16 * i, a.v[i]);
}
GLIA_INLINE Bytes low_nibbles(Bytes a) {
  return each<Bytes>([=](int i) { return vandq_u8(a.v[i], vdupq_n_u8(0x0F)); });
}
GLIA_INLINE Bytes high_nibbles(Bytes a) {
  return each<Bytes>([=](int i) { return vshrq_n_u8(a.v[i], 4); });
}
/// `value` in every byte whose bit (of the 16 at `bits`) is set.
GLIA_INLINE uint8x16_t spread_bits(const std::uint8_t* bits, std::uint8_t value) {
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ULL));
  const uint8x16_t spread = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
  return vandq_u8(vtstq_u8(spread, bit), vdupq_n_u8(value));
}
GLIA_INLINE Bytes with_fifth_bits(Bytes a, const std::uint8_t* bits) {
  return each<Bytes>([=](int i) { return vorrq_u8(a.v[i], spread_bits(bits + 2 * i, 16)); });
}
GLIA_INLINE Bytes with_third_bits(Bytes a, const std::uint8_t* bits) {
  return each<Bytes>([=](int i) { return vorrq_u8(a.v[i], spread_bits(bits + 2 * i, 4)); });
}
template <int n>
GLIA_INLINE Bytes bit_pairs(Bytes a) {
  return each<Bytes>([=](int i) {
    uint8x16_t pairs = a.v[i];
    if constexpr (n > 0) pairs = vshrq_n_u8(pairs, 2 * n);
    return vandq_u8(pairs, vdupq_n_u8(3));
  });
}
GLIA_INLINE Bytes lookup(Bytes a, const std::uint8_t* table) {
  const uint8x16_t t = vld1q_u8(table);
  return each<Bytes>([=](int i) { return vqtbl1q_u8(t, a.v[i]); });
}
GLIA_INLINE F load_unsigned_bytes(const std::uint8_t* p) {
  const uint8x16_t bytes = vld1q_u8(p);
  const uint16x8_t low = vmovl_u8(vget_low_u8(bytes));
  const uint16x8_t high = vmovl_u8(vget_high_u8(bytes));
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
}
/// Sign to the top, exponent and significand to their places, the bias by an exact multiplication.
GLIA_INLINE F load_f8(const std::uint8_t* p) {
  const I wide = load_signed_bytes(reinterpret_cast<const std::int8_t*>(p));
  return each<F>([=](int i) {
    const uint32x4_t moved = vreinterpretq_u32_s32(vshlq_n_s32(wide.v[i], 20));
    return vmulq_f32(vreinterpretq_f32_u32(vandq_u32(moved, vdupq_n_u32(0x87F00000U))), vdupq_n_f32(0x1p120F));
  });
}
template <int n>
GLIA_INLINE F byte_of_lane(Bytes a) {
  return each<F>([=](int i) {
    uint32x4_t lanes = vreinterpretq_u32_u8(a.v[i]);
    if constexpr (n > 0) lanes = vshrq_n_u32(lanes, 8 * n);
    return vcvtq_f32_u32(vandq_u32(lanes, vdupq_n_u32(0xFF)));
  });
}

GLIA_INLINE int8x16_t broadcast4(const std::int8_t* x) { return vreinterpretq_s8_s32(vdupq_n_s32(load_int(x))); }
/// Weights as signed bytes: those of 8 bits less 128, the others as they are.
template <int kWeightBits>
GLIA_INLINE int8x16_t signed_weights(uint8x16_t w) {
  if constexpr (kWeightBits == 8) return vreinterpretq_s8_u8(veorq_u8(w, vdupq_n_u8(0x80)));
  return vreinterpretq_s8_u8(w);
}

GLIA_INLINE int8x16_t load_half(const std::int8_t* x) { return broadcast4(x); }

/// Weights of both halves: one is the high bytes of 4 activations, the other the low ones.
struct SignedWeights {
  int8x16_t v[4];
};
template <int kBits>
GLIA_INLINE SignedWeights make_signed(Bytes w) {
  return each<SignedWeights>([=](int i) { return signed_weights<kBits>(w.v[i]); });
}

}  // namespace glia::kernels::GLIA_ISA
