// Activations of feed-forward blocks, alone or times a second row, and tanh caps.
#include GLIA_SIMD_HEADER

#include "kernels/isa/exp.h"
#include "kernels/isa/partial.h"
#include "kernels/isa/rows.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

/// x / (1 + exp(-s)), which is x sigmoid(s).
GLIA_INLINE F times_sigmoid(F x, F s) { return div(x, add(set1(1.0F), exp(sub(zero(), s)))); }

GLIA_INLINE F relu(F x) { return max(x, zero()); }

GLIA_INLINE F silu(F x) { return times_sigmoid(x, x); }

/// (1 + tanh z) / 2 = sigmoid(2 z), z = sqrt(2 / pi) (x + 0.044715 x^3): nothing cancels.
GLIA_INLINE F gelu_tanh(F x) {
  const F cube = mul(mul(x, x), x);
  return times_sigmoid(x, mul(set1(1.5957691216F), fma(set1(0.044715F), cube, x)));
}

/// max(x, 0) - |x| erfc(a) / 2, a = |x| / sqrt 2: one formula for both signs, and nothing cancels.
/// erfc(a) = t Q(t) exp(-a^2), t = 1 / (1 + 0.375 a), Q of degree 8 fitted to exp(a^2) erfc(a) / t at Chebyshev nodes
/// for a <= 9.3: 2.6e-8 relative with float32 coefficients (0.5 u).
GLIA_INLINE F gelu(F x) {
  const F magnitude = abs(x);
  const F a = mul(magnitude, set1(0.70710678F));
  const F t = div(set1(1.0F), fma(set1(0.375F), a, set1(1.0F)));
  F q = set1(0x1.fb8666p-5F);
  q = fma(q, t, set1(-0x1.284b86p-2F));
  q = fma(q, t, set1(0x1.bf10ccp-2F));
  q = fma(q, t, set1(-0x1.dfb666p-3F));
  q = fma(q, t, set1(0x1.1bbc96p-2F));
  q = fma(q, t, set1(0x1.ebbd9cp-4F));
  q = fma(q, t, set1(0x1.a5417ap-3F));
  q = fma(q, t, set1(0x1.af4cb2p-3F));
  q = fma(q, t, set1(0x1.b1641ep-3F));
  const F half = mul(mul(mul(set1(0.5F), t), q), exp(sub(zero(), mul(a, a))));
  return sub(max(x, zero()), mul(magnitude, half));
}

GLIA_INLINE F clamped_swiglu(F x) {
  const F y = min(x, set1(7.0F));
  return times_sigmoid(y, mul(set1(1.702F), y));
}

GLIA_INLINE F times(F y, F up) { return mul(y, up); }
GLIA_INLINE F times_clamped(F y, F up) { return mul(y, add(max(set1(-7.0F), min(set1(7.0F), up)), set1(1.0F))); }

template <F (*function)(F), F (*join)(F, F) = times>
void row(float* out, const float* x, const float* up, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += 16) {
    F y = function(load_some(x + j, n - j));
    if (up != nullptr) y = join(y, load_some(up + j, n - j));
    store_some(out + j, y, n - j);
  }
}

/// e / (e + 2), e = expm1(2 x): relative precision down to 0. Error 6 u: expm1's 3 u, the sum, the quotient, 2 x / cap.
GLIA_INLINE F tanh(F x) {
  const F e = expm1(add(x, x));
  return div(e, add(e, set1(2.0F)));
}

}  // namespace

extern const GateKernel kGates[5];
const GateKernel kGates[5] = {row<silu>, row<gelu_tanh>, row<gelu>, row<clamped_swiglu, times_clamped>, row<relu>};

void softcap(float* x, std::int64_t n, float cap) {
  const F most = set1(cap);
  const F inverse = set1(1.0F / cap);
  for (std::int64_t j = 0; j < n; j += 16) {
    store_some(x + j, mul(most, tanh(mul(load_some(x + j, n - j), inverse))), n - j);
  }
}

}  // namespace glia::kernels::GLIA_ISA
