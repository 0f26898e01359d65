// Feed-forward without a gate:  W_down activation(W_up x)
#pragma once

#include <memory>

#include "models/blocks/feed_forward.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

struct PlainMlpWeights {
  std::unique_ptr<kernels::Matrix> up;    ///< [ff, hidden]
  DeviceVector up_bias;                   ///< [ff] or empty
  std::unique_ptr<kernels::Matrix> down;  ///< [hidden, ff]
  DeviceVector down_bias;                 ///< [hidden] or empty
};

class PlainMlpBlock final : public FeedForward {
 public:
  PlainMlpBlock(std::int32_t ff, kernels::Gate activation, PlainMlpWeights weights)
      : ff_(ff), activation_(activation), weights_(std::move(weights)) {}

  void forward(Step& step, kernels::Tensor out, kernels::Tensor x, const kernels::Norm& norm,
               bool accumulate) const override;
  std::int64_t scratch_floats(std::int64_t n) const override { return Arena::floats(n, ff_); }
  std::size_t bytes() const override;

 private:
  std::int32_t ff_;
  kernels::Gate activation_;
  PlainMlpWeights weights_;
};

}  // namespace glia::models
