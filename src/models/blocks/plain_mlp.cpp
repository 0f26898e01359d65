#include "models/blocks/plain_mlp.h"

namespace glia::models {

using kernels::Tensor;

void PlainMlpBlock::forward(Step& step, Tensor out, Tensor x, const kernels::Norm& norm, bool accumulate) const {
  const auto start = step.arena.mark();
  const Tensor up = step.arena.take(x.rows, ff_);
  step.device.matmul(up, *weights_.up, x, norm, /*accumulate=*/false, weights_.up_bias.data());
  step.device.activate(up, activation_);
  step.device.matmul(out, *weights_.down, up, {}, accumulate, weights_.down_bias.data());
  step.arena.rewind(start);
}

std::size_t PlainMlpBlock::bytes() const {
  return weights_.up->bytes() + weights_.up_bias.bytes() + weights_.down->bytes() + weights_.down_bias.bytes();
}

}  // namespace glia::models
