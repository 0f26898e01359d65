// One layer of a decoder: attention and feed-forward, each with its norm and residual.
//   h += attention(norm(h));  h += feed_forward(norm(h))
// Ownership: owns its weights. Thread rule: one forward at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "models/blocks/attention.h"
#include "models/blocks/feed_forward.h"

namespace glia::models::decoder {

struct LayerWeights {
  DeviceVector attention_norm;  ///< [hidden]
  DeviceVector mlp_norm;        ///< [hidden]
  float norm_eps = 0;
};

class Layer {
 public:
  Layer(LayerWeights weights, AttentionBlock attention, std::unique_ptr<FeedForward> feed_forward)
      : weights_(std::move(weights)), attention_(std::move(attention)), feed_forward_(std::move(feed_forward)) {}

  /// Writes keys and values of every row of `hidden` [n, hidden]; the rows of `needed` become the layer's output, the
  /// others keep what they held.
  void forward(Step& step, std::int32_t index, const kernels::Rope& rope, kernels::Tensor hidden,
               RowRange needed) const;
  /// Arena floats that forward() takes for n rows.
  std::int64_t scratch_floats(std::int64_t n) const;
  std::size_t bytes() const;

 private:
  LayerWeights weights_;
  AttentionBlock attention_;
  std::unique_ptr<FeedForward> feed_forward_;
};

}  // namespace glia::models::decoder
