#include "models/blocks/gated_mlp.h"

namespace glia::models {

using kernels::Tensor;

void GatedMlpBlock::forward(Step& step, Tensor out, Tensor x, const kernels::Norm& norm, bool accumulate) const {
  const auto start = step.arena.mark();
  const Tensor gate_up = step.arena.take(x.rows, 2 * std::int64_t{ff_});
  const Tensor gated = step.arena.take(x.rows, ff_);
  step.device.matmul(gate_up, *weights_.gate_up, x, norm, /*accumulate=*/false, weights_.gate_up_bias.data());
  step.device.gate(gated, gate_up, gate_);
  step.device.matmul(out, *weights_.down, gated, {}, accumulate, weights_.down_bias.data());
  step.arena.rewind(start);
}

std::int64_t GatedMlpBlock::scratch_floats(std::int64_t n) const {
  return Arena::floats(n, 2 * std::int64_t{ff_}) + Arena::floats(n, ff_);
}

std::size_t GatedMlpBlock::bytes() const {
  return weights_.gate_up->bytes() + weights_.gate_up_bias.bytes() + weights_.down->bytes() +
         weights_.down_bias.bytes();
}

}  // namespace glia::models
