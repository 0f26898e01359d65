// The SIMD vocabulary on aarch64 with the byte dot products of Armv8.2 (dotprod). Meanings: see simd/README.md.
#pragma once

#include "kernels/simd/neon.h"

namespace glia::kernels::GLIA_ISA {

template <int kWeightBits>
struct Dot {
  static constexpr int kSubtracted = kWeightBits == 8 ? 128 : 0;
  using Weights = SignedWeights;
  I high, low;
  template <int half>
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) {
    return make_signed<kWeightBits>(w);
  }
  GLIA_INLINE_MEMBER void start(I first) {
    high = set1_int(0);
    low = first;
  }
  template <int half>
  GLIA_INLINE_MEMBER void add(Weights w, int8x16_t x) {
    I& plane = half == 0 ? high : low;
    for (int i = 0; i < 4; i++) plane.v[i] = vdotq_s32(plane.v[i], w.v[i], x);
  }
  GLIA_INLINE_MEMBER I total() const { return join_planes(high, low); }
};

template <int kWeightBits>
struct ByteDot {
  static constexpr int kSubtracted = kWeightBits == 8 ? 128 : 0;
  using Weights = SignedWeights;
  I acc;
  static GLIA_INLINE_MEMBER Weights weights(Bytes w) { return make_signed<kWeightBits>(w); }
  GLIA_INLINE_MEMBER void start(I first) { acc = first; }
  template <int step>
  GLIA_INLINE_MEMBER void add(Weights w, int8x16_t x) {
    for (int i = 0; i < 4; i++) acc.v[i] = vdotq_s32(acc.v[i], w.v[i], x);
  }
  GLIA_INLINE_MEMBER I total() const { return acc; }
};

}  // namespace glia::kernels::GLIA_ISA
