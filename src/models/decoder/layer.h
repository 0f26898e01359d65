// One layer of a decoder: attention and feed-forward, each with its norm and residual.
//   one after the other   h += attention(norm(h));  h += feed_forward(norm(h))
//   with post norms       h += norm(attention(norm(h)));  h += norm(feed_forward(norm(h)))
//   in parallel           n = norm(h);  h += attention(n) + feed_forward(n)
// Ownership: owns its weights. Thread rule: one forward at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "models/blocks/attention.h"
#include "models/blocks/feed_forward.h"
#include "models/blocks/norm.h"

namespace glia::models::decoder {

struct LayerNorms {
  NormBlock attention;
  std::optional<NormBlock> attention_post;
  std::optional<NormBlock> mlp;  ///< none: in parallel, on the attention's
  std::optional<NormBlock> mlp_post;
};

class Layer {
 public:
  Layer(LayerNorms norms, AttentionBlock attention, std::unique_ptr<FeedForward> feed_forward)
      : norms_(std::move(norms)), attention_(std::move(attention)), feed_forward_(std::move(feed_forward)) {}

  /// Writes keys and values of every row of `hidden` [n, hidden] where the step has a cache; the rows of `needed` (of
  /// whole texts: all) become the layer's output, the others keep what they held.
  void forward(Step& step, std::int32_t index, const kernels::Rope& rope, kernels::Tensor hidden,
               RowRange needed) const;
  /// Arena floats that forward() takes for n rows of `hidden` floats.
  std::int64_t scratch_floats(std::int64_t n, std::int64_t hidden) const;
  /// The same where they are whole texts.
  std::int64_t text_scratch_floats(std::int64_t n, std::int64_t hidden) const;
  std::size_t bytes() const;

 private:
  /// rows += feed_forward(norm(rows))
  void feed_forward(Step& step, kernels::Tensor rows) const;

  LayerNorms norms_;
  AttentionBlock attention_;
  std::unique_ptr<FeedForward> feed_forward_;
};

}  // namespace glia::models::decoder
