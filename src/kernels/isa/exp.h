// exp and expm1 on the SIMD vocabulary included before this file.
#pragma once

namespace glia::kernels::GLIA_ISA {

/// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2, exp(r) by its Taylor polynomial of degree 7.
/// Relative error, in units of u = 2^-24: the cut series leaves r^8 / 8! < 5.2e-9 (0.09 u); r is exact up to the second
/// part of ln 2 (n ln2_hi is exact for |n| < 2^9, so below 0.5 u of r, 0.2 u of the result, plus |n| 2^-47); Horner's
/// last steps round twice where the result is near 1 (1 u for the sum, 0.4 u for the products below it), four times
/// that without fused multiply-add. Below 3 u with FMA, 4 u without; x is clamped to [-87, 88], so nothing over- or
/// underflows.
GLIA_INLINE F exp(F x) {
  const F clamped = max(set1(-87.0F), min(set1(88.0F), x));
  const I n = round(mul(clamped, set1(0x1.715476p+0F)));
  const F nf = to_float(n);
  F r = negated_fma(nf, set1(0x1.62e4p-1F), clamped);  // 15 significant bits of ln 2: n times them is exact
  r = negated_fma(nf, set1(0x1.7f7d1cp-20F), r);
  F p = set1(1.0F / 5040);
  p = fma(p, r, set1(1.0F / 720));
  p = fma(p, r, set1(1.0F / 120));
  p = fma(p, r, set1(1.0F / 24));
  p = fma(p, r, set1(1.0F / 6));
  p = fma(p, r, set1(0.5F));
  p = fma(p, r, set1(1.0F));
  p = fma(p, r, set1(1.0F));
  return mul(p, float_bits(shift_left<23>(add(n, set1_int(127)))));
}

/// exp(x) - 1 = 2^n (exp(r) - 1) + (2^n - 1), n and r as above, exp(r) - 1 by the same series without its 1. 2^n - 1 is
/// exact for |n| <= 24, and the sum is at least 0.4 of its larger term: below 4 u with FMA, 6 u without, relative, down
/// to x = 0. x is clamped to [-30, 30].
GLIA_INLINE F expm1(F x) {
  const F clamped = max(set1(-30.0F), min(set1(30.0F), x));
  const I n = round(mul(clamped, set1(0x1.715476p+0F)));
  const F nf = to_float(n);
  F r = negated_fma(nf, set1(0x1.62e4p-1F), clamped);
  r = negated_fma(nf, set1(0x1.7f7d1cp-20F), r);
  F p = set1(1.0F / 5040);
  p = fma(p, r, set1(1.0F / 720));
  p = fma(p, r, set1(1.0F / 120));
  p = fma(p, r, set1(1.0F / 24));
  p = fma(p, r, set1(1.0F / 6));
  p = fma(p, r, set1(0.5F));
  p = fma(mul(p, r), r, r);
  const F power = float_bits(shift_left<23>(add(n, set1_int(127))));
  return fma(power, p, sub(power, set1(1.0F)));
}

}  // namespace glia::kernels::GLIA_ISA
