// Gated feed-forward:  W_down (gate(W_gate x) * W_up x)
// W_gate and W_up are one stacked matrix [2 ff, hidden].
#pragma once

#include <memory>

#include "models/blocks/feed_forward.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

struct GatedMlpWeights {
  std::unique_ptr<kernels::Matrix> gate_up;  ///< [2 ff, hidden]
  DeviceVector gate_up_bias;                 ///< [2 ff] or empty
  std::unique_ptr<kernels::Matrix> down;     ///< [hidden, ff]
  DeviceVector down_bias;                    ///< [hidden] or empty
};

class GatedMlpBlock final : public FeedForward {
 public:
  GatedMlpBlock(std::int32_t ff, kernels::Gate gate, GatedMlpWeights weights)
      : ff_(ff), gate_(gate), weights_(std::move(weights)) {}

  void forward(Step& step, kernels::Tensor out, kernels::Tensor x, const kernels::Norm& norm,
               bool accumulate) const override;
  std::int64_t scratch_floats(std::int64_t n) const override;
  std::size_t bytes() const override;

 private:
  std::int32_t ff_;
  kernels::Gate gate_;
  GatedMlpWeights weights_;
};

}  // namespace glia::models
