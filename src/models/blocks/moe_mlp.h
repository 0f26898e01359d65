// Mixture of experts: a router chooses a few gated feed-forwards per row, whose weighted sum is the block's output; one
// more may be shared by all rows, weighed by a gate of its own where it has one:
//   experts(x; W_router x) + sigmoid(w x) shared(x)
// Source: Jiang et al. 2024 (Mixtral); Dai et al. 2024 (shared experts); kernels::Experts for the arithmetic.
#pragma once

#include <memory>

#include "models/blocks/feed_forward.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

struct MoeMlpWeights {
  std::unique_ptr<kernels::Matrix> router;         ///< [count, hidden]
  DeviceVector router_bias;                        ///< [count] or empty
  std::unique_ptr<kernels::Matrix> gate_up;        ///< [count * 2 ff, hidden]
  DeviceVector gate_up_bias;                       ///< [count * 2 ff] or empty
  std::unique_ptr<kernels::Matrix> down;           ///< [count * hidden, ff]
  DeviceVector down_bias;                          ///< [count * hidden] or empty
  std::unique_ptr<FeedForward> shared;             ///< or null
  std::unique_ptr<kernels::Matrix> shared_router;  ///< [1, hidden] or null
};

class MoeMlpBlock final : public FeedForward {
 public:
  /// `routing`: how many experts, how they are chosen and weighed; its pointers are set here.
  MoeMlpBlock(const kernels::Experts& routing, MoeMlpWeights weights);

  void forward(Step& step, kernels::Tensor out, kernels::Tensor x, const kernels::Norm& norm,
               bool accumulate) const override;
  std::int64_t scratch_floats(std::int64_t n) const override;
  std::size_t bytes() const override;

 private:
  kernels::Experts experts_;
  MoeMlpWeights weights_;
};

}  // namespace glia::models
