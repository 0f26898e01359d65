#include "models/blocks/moe_mlp.h"

#include <utility>

namespace glia::models {

using kernels::Tensor;

MoeMlpBlock::MoeMlpBlock(const kernels::Experts& routing, MoeMlpWeights weights)
    : experts_(routing), weights_(std::move(weights)) {
  experts_.gate_up = weights_.gate_up.get();
  experts_.down = weights_.down.get();
  experts_.gate_up_bias = weights_.gate_up_bias.data();
  experts_.down_bias = weights_.down_bias.data();
}

void MoeMlpBlock::forward(Step& step, Tensor out, Tensor x, const kernels::Norm& norm, bool accumulate) const {
  const auto start = step.arena.mark();
  const Tensor logits = step.arena.take(x.rows, experts_.count);
  step.device.matmul(logits, *weights_.router, x, norm, /*accumulate=*/false, weights_.router_bias.data());
  if (!weights_.shared) {
    step.device.experts(out, experts_, x, norm, logits, accumulate);
  } else {
    // All of x is read before out is written: they may be the same rows.
    const Tensor shared = step.arena.take(x.rows, x.cols);
    weights_.shared->forward(step, shared, x, norm, /*accumulate=*/false);
    Tensor weight;
    if (weights_.shared_router) {
      weight = step.arena.take(x.rows, 1);
      step.device.matmul(weight, *weights_.shared_router, x, norm);
    }
    step.device.experts(out, experts_, x, norm, logits, accumulate);
    if (weights_.shared_router) {
      step.device.add_weighted(out, shared, weight);
    } else {
      step.device.add(out, shared);
    }
  }
  step.arena.rewind(start);
}

std::int64_t MoeMlpBlock::scratch_floats(std::int64_t n) const {
  std::int64_t floats = Arena::floats(n, experts_.count);
  if (weights_.shared) {
    floats += Arena::floats(n, weights_.router->cols()) + Arena::floats(n, 1) + weights_.shared->scratch_floats(n);
  }
  return floats;
}

std::size_t MoeMlpBlock::bytes() const {
  const auto& w = weights_;
  return w.router->bytes() + w.router_bias.bytes() + w.gate_up->bytes() + w.gate_up_bias.bytes() + w.down->bytes() +
         w.down_bias.bytes() + (w.shared ? w.shared->bytes() : 0) + (w.shared_router ? w.shared_router->bytes() : 0);
}

}  // namespace glia::models
