// The SIMD vocabulary on any aarch64. Meanings: see simd/README.md.
#pragma once

#include "kernels/simd/neon.h"

namespace glia::kernels::GLIA_ISA {

/// One plane's products in 16 bits, added in pairs to 32: the total adds each row's two pairs.
template <int kWeightBits>
struct PlaneDot {
  int32x4_t low[4], high[4];
  GLIA_INLINE_MEMBER void start() {
    for (int i = 0; i < 4; i++) low[i] = high[i] = vdupq_n_s32(0);
  }
  GLIA_INLINE_MEMBER void add(SignedWeights w, int8x16_t x) {
    for (int i = 0; i < 4; i++) {
      low[i] = vpadalq_s16(low[i], vmull_s8(vget_low_s8(w.v[i]), vget_low_s8(x)));
      high[i] = vpadalq_s16(high[i], vmull_high_s8(w.v[i], x));
    }
  }
  GLIA_INLINE_MEMBER I total() const {
    return each<I>([this](int i) { return vpaddq_s32(low[i], high[i]); });
  }
};

/// Weights of up to 5 bits: eight sums of products (8 * 31 * 127 = 31,496) stay within 16 bits, so widening waits for
/// the total.
template <int kWeightBits>
  requires(kWeightBits <= 5)
struct PlaneDot<kWeightBits> {
  int16x8_t low[4], high[4];
  GLIA_INLINE_MEMBER void start() {
    for (int i = 0; i < 4; i++) low[i] = high[i] = vdupq_n_s16(0);
  }
  GLIA_INLINE_MEMBER void add(SignedWeights w, int8x16_t x) {
    for (int i = 0; i < 4; i++) {
      low[i] = vmlal_s8(low[i], vget_low_s8(w.v[i]), vget_low_s8(x));
      high[i] = vmlal_high_s8(high[i], w.v[i], x);
    }
  }
  GLIA_INLINE_MEMBER I total() const {
    return each<I>([this](int i) { return vpaddq_s32(vpaddlq_s16(low[i]), vpaddlq_s16(high[i])); });
  }
};

template <int kWeightBits>
struct Dot {
  static constexpr int kSubtracted = kWeightBits == 8 ? 128 : 0;
  using Weights = SignedWeights;
  PlaneDot<kWeightBits> high, low;
  I first;
  template <int half>
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    return make_signed<kWeightBits>(w);
  }
  GLIA_INLINE_MEMBER void start(I value) {
    high.start();
    low.start();
    first = value;
  }
  template <int half>
  GLIA_INLINE_MEMBER void add(Weights w, int8x16_t x) {
    (half == 0 ? high : low).add(w, x);
  }
  GLIA_INLINE_MEMBER I total() const { return kernels::GLIA_ISA::add(first, join_planes(high.total(), low.total())); }
};

template <int kWeightBits>
struct ByteDot {
  static constexpr int kSubtracted = kWeightBits == 8 ? 128 : 0;
  using Weights = SignedWeights;
  PlaneDot<kWeightBits> plane;
  I first;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return make_signed<kWeightBits>(w); }
  GLIA_INLINE_MEMBER void start(I value) {
    plane.start();
    first = value;
  }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, int8x16_t x) {
    plane.add(w, x);
  }
  GLIA_INLINE_MEMBER I total() const { return kernels::GLIA_ISA::add(first, plane.total()); }
};

}  // namespace glia::kernels::GLIA_ISA
