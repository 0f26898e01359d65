// The SIMD vocabulary on aarch64 with the byte dot products of Armv8.2 (dotprod). Meanings: see simd/README.md.
#pragma once

#include "kernels/simd/neon.h"

namespace glia::kernels::GLIA_ISA {

template <int kWeightBits>
struct Dot {
  static constexpr int kSubtracted = kWeightBits == 8 ? 128 : 0;
  I high, low;
  GLIA_INLINE_MEMBER void start(I first) {
    high = set1_int(0);
    low = first;
  }
  GLIA_INLINE_MEMBER void add(const Weights<kWeightBits>& w, const Quad& x) {
    for (int i = 0; i < 4; i++) {
      high.v[i] = vdotq_s32(high.v[i], w.v[i], x.high);
      low.v[i] = vdotq_s32(low.v[i], w.v[i], x.low);
    }
  }
  GLIA_INLINE_MEMBER I total() const { return join_planes(high, low); }
};

}  // namespace glia::kernels::GLIA_ISA
