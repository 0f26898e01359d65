#include "models/blocks/gated_mlp.h"

namespace glia::models {

using kernels::Tensor;

void GatedMlpBlock::forward(Step& step, Tensor hidden) const {
  const auto start = step.arena.mark();
  const Tensor gate_up = step.arena.take(hidden.rows, weights_.gate_up->rows());
  const Tensor gated = step.arena.take(hidden.rows, weights_.down->cols());
  step.device.matmul(gate_up, *weights_.gate_up, hidden, {weights_.norm.data(), weights_.norm_eps});
  step.device.silu_gate(gated, gate_up);
  step.device.matmul(hidden, *weights_.down, gated, {}, /*accumulate=*/true);
  step.arena.rewind(start);
}

std::int64_t GatedMlpBlock::scratch_floats(std::int64_t ff, std::int64_t n) {
  return Arena::floats(n, 2 * ff) + Arena::floats(n, ff);
}

std::size_t GatedMlpBlock::bytes() const {
  return weights_.norm.bytes() + weights_.gate_up->bytes() + weights_.down->bytes();
}

}  // namespace glia::models
