// Gated feed-forward:  W_down (silu(W_gate x) * W_up x)
// W_gate and W_up are one stacked matrix [2 ff, hidden].
#pragma once

#include <memory>

#include "models/blocks/feed_forward.h"

namespace glia::models {

struct GatedMlpWeights {
  std::unique_ptr<kernels::Matrix> gate_up;  ///< [2 ff, hidden]
  std::unique_ptr<kernels::Matrix> down;     ///< [hidden, ff]
};

class GatedMlpBlock final : public FeedForward {
 public:
  GatedMlpBlock(std::int32_t ff, GatedMlpWeights weights) : ff_(ff), weights_(std::move(weights)) {}

  void forward(Step& step, kernels::Tensor out, kernels::Tensor x, const kernels::Norm& norm,
               bool accumulate) const override;
  std::int64_t scratch_floats(std::int64_t n) const override;
  std::size_t bytes() const override;

 private:
  std::int32_t ff_;
  GatedMlpWeights weights_;
};

}  // namespace glia::models
