// What a decoder-only model computes, whatever its family: numbers that a family's reader took from a file, checked,
// and where its variants differ. A family is a translation into this; the computation itself is in decoder.h. Thread
// rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/blocks/rope_table.h"

namespace glia::models::decoder {

/// One rotary table. Layers choose among several by index.
struct RopeSpec {
  RopeParameters parameters;
  std::vector<float> divisors;  ///< of the inverse frequencies, [dims / 2]; empty: none
  std::string divisors_tensor;  ///< where the file keeps them instead; empty: nowhere
};

struct LayerConfig {
  std::size_t rope = 0;  ///< index into Config::ropes
};

struct Config {
  std::int32_t vocab = 0;
  std::int32_t hidden = 0;  ///< width of the residual stream
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;  ///< divides heads
  std::int32_t head_dim = 0;  ///< even
  std::int32_t ff = 0;        ///< width between the feed-forward's matrices
  std::int32_t context = 0;   ///< positions the weights were trained for
  float norm_eps = 0;
  bool tied = false;  ///< the head is the embedding table

  kernels::RopeLayout rope_layout = kernels::RopeLayout::halves;
  std::int32_t rope_dims = 0;  ///< leading dimensions of a head that are rotated; even
  std::vector<RopeSpec> ropes;
  std::vector<LayerConfig> layers;

  std::int32_t layer_count() const { return static_cast<std::int32_t>(layers.size()); }
};

}  // namespace glia::models::decoder
