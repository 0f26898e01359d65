// Pre-normalised gated feed-forward:  h += W_down (silu(W_gate n) * W_up n),  n = rms_norm(h)
// W_gate and W_up are one stacked matrix [2 ff, hidden].
// Ownership: owns its weights. Thread rule: one forward at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/device.h"
#include "models/blocks/step.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

struct GatedMlpWeights {
  DeviceVector norm;  ///< [hidden]
  float norm_eps = 0;
  std::unique_ptr<kernels::Matrix> gate_up;  ///< [2 ff, hidden]
  std::unique_ptr<kernels::Matrix> down;     ///< [hidden, ff]
};

class GatedMlpBlock {
 public:
  explicit GatedMlpBlock(GatedMlpWeights weights) : weights_(std::move(weights)) {}

  /// hidden: [n, hidden], added to in place.
  void forward(Step& step, kernels::Tensor hidden) const;
  /// Arena floats that forward() takes for n rows.
  static std::int64_t scratch_floats(std::int64_t ff, std::int64_t n);
  std::size_t bytes() const;

 private:
  GatedMlpWeights weights_;
};

}  // namespace glia::models
