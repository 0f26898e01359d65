// The last vector of a row, on the SIMD vocabulary included before this file.
#pragma once

namespace glia::kernels::GLIA_ISA {

/// Up to 16 floats of the n that are left; the lanes beyond are zero.
GLIA_INLINE F load_some(const float* p, std::int64_t n) {
  return n >= 16 ? load(p) : load_first(p, static_cast<int>(n));
}
GLIA_INLINE void store_some(float* p, F v, std::int64_t n) {
  if (n >= 16) {
    store(p, v);
  } else {
    store_first(p, v, static_cast<int>(n));
  }
}

}  // namespace glia::kernels::GLIA_ISA
