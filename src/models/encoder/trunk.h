// What every kind of encoder computes by itself: tokens to the states of its last layer. What becomes of states
// (pooling, dense layers, a classifier) is the same for all (encoder.h).
// Ownership: a trunk owns its weights; the device must outlive it. Thread rule: one forward at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "models/blocks/arena.h"

namespace glia::models::encoder {

/// Whole texts, end to end.
struct Batch {
  std::span<const std::int32_t> tokens;   ///< [n]
  std::span<const std::int32_t> types;    ///< [n], 0 where a model has one type
  std::span<const std::int32_t> lengths;  ///< [texts], each at least 1; their sum is n
};

class Trunk {
 public:
  virtual ~Trunk() = default;
  /// states: [n, hidden]
  virtual void forward(const Batch& batch, Arena& arena, kernels::Tensor states) = 0;
  /// Arena floats that forward() takes for n rows.
  virtual std::int64_t scratch_floats(std::int64_t n) const = 0;
  virtual std::size_t bytes() const = 0;
};

}  // namespace glia::models::encoder
