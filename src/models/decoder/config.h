// What a decoder-only model computes, whatever its family: numbers that a family's reader took from a file, checked,
// and where its variants differ. A family is a translation into this; the computation itself is in decoder.h, and in
// encoder/decoder_trunk.h of those that were trained on to encode texts. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/blocks/norm.h"
#include "models/blocks/rope_table.h"
#include "models/decoder/moe.h"

namespace glia::models::decoder {

/// One rotary table. Layers choose among several by index.
struct RopeSpec {
  RopeParameters parameters;
  std::vector<float> divisors;  ///< of the inverse frequencies, [rope_dims / 2]; empty: none
  std::string divisors_tensor;  ///< where the file keeps them instead; empty: nowhere
};

struct LayerConfig {
  std::size_t rope = 0;     ///< index into Config::ropes
  std::int32_t window = 0;  ///< positions that a row sees, itself included; 0: all before it
  bool experts = false;     ///< its feed-forward is Config::moe
};

struct Config {
  std::int32_t vocab = 0;
  std::int32_t hidden = 0;  ///< width of the residual stream
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;  ///< divides heads
  std::int32_t head_dim = 0;  ///< even
  std::int32_t ff = 0;        ///< width between the feed-forward's matrices
  std::int32_t context = 0;   ///< positions the weights were trained for
  bool tied = false;          ///< the head is the embedding table

  NormKind norm = NormKind::rms;
  float norm_eps = 0;
  float norm_offset = 0;    ///< added to every norm's weight when it is bound
  bool post_norms = false;  ///< what attention and feed-forward return is normalised before it is added
  bool parallel = false;    ///< attention and feed-forward read the same norm: h += attention(n) + feed_forward(n)

  float attention_scale = 0;    ///< of q k^T; 0: 1 / sqrt(head_dim)
  float attention_softcap = 0;  ///< of the scores; 0: none
  bool qk_norm = false;         ///< RMS norm of every query's and key's head before it is rotated
  bool sinks = false;           ///< a learned logit per head in the softmax's denominator
  bool both_ways = false;       ///< of an encoder: rows see as far behind themselves as before
  bool qkv_bias = false;
  bool attention_out_bias = false;

  bool gated = true;  ///< W_down (gate(W_gate x) * W_up x), else W_down gate(W_up x)
  kernels::Gate gate = kernels::Gate::silu;
  bool mlp_bias = false;
  std::optional<MoeConfig> moe;  ///< of the layers with experts

  float embedding_scale = 1;
  float logit_softcap = 0;  ///< 0: none
  bool head_bias = false;

  kernels::RopeLayout rope_layout = kernels::RopeLayout::halves;
  std::int32_t rope_dims = 0;  ///< leading dimensions of a head that are rotated; even
  std::vector<RopeSpec> ropes;
  std::vector<LayerConfig> layers;

  std::int32_t layer_count() const { return static_cast<std::int32_t>(layers.size()); }
};

}  // namespace glia::models::decoder
