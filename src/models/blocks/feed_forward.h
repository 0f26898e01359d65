// The seam between a layer and what stands behind its attention: one gated product, or many experts.
// Ownership: an implementation owns its weights. Thread rule: one forward at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/device.h"
#include "models/blocks/step.h"

namespace glia::models {

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  /// out = f(n), or out += f(n) with `accumulate`; n is x, RMS-normalised first where norm.weight is set (x itself is
  /// left alone). out, x: [rows, hidden]; out may be x.
  virtual void forward(Step& step, kernels::Tensor out, kernels::Tensor x, const kernels::Norm& norm,
                       bool accumulate) const = 0;
  /// Arena floats that forward() takes for n rows.
  virtual std::int64_t scratch_floats(std::int64_t n) const = 0;
  virtual std::size_t bytes() const = 0;
};

}  // namespace glia::models
