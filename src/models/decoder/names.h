// What a decoder's tensors are called in a file. A stem stands before ".weight" and ".bias"; an empty one: the file has
// no such tensor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/decoder/moe.h"

namespace glia::models::decoder {

struct Names {
  std::string_view embedding;
  std::string_view final_norm;
  std::string_view head;
  std::string_view layer_prefix;  ///< before the layer's number
  // after the layer's number
  std::string_view attention_norm;
  std::string_view q, k, v;
  std::string_view qkv;  ///< one tensor of q, k and v stacked, instead of them
  std::string_view q_norm, k_norm;
  std::string_view sinks;  ///< whole name: it has no ".weight" everywhere
  std::string_view attention_out;
  std::string_view attention_post_norm;
  std::string_view mlp_norm;
  std::string_view gate, up;
  std::string_view gate_up;  ///< one tensor of gate and up stacked, instead of them
  std::string_view down;
  std::string_view mlp_post_norm;
  MoeNames moe = {};  ///< of the layers with experts

  std::string layer(std::int32_t index, std::string_view stem) const {
    return std::string(layer_prefix) + std::to_string(index) + std::string(stem);
  }
};

inline constexpr Names kGgufNames = {
    .embedding = "token_embd",
    .final_norm = "output_norm",
    .head = "output",
    .layer_prefix = "blk.",
    .attention_norm = ".attn_norm",
    .q = ".attn_q",
    .k = ".attn_k",
    .v = ".attn_v",
    .qkv = "",
    .q_norm = ".attn_q_norm",
    .k_norm = ".attn_k_norm",
    .sinks = ".attn_sinks.weight",
    .attention_out = ".attn_output",
    .attention_post_norm = ".post_attention_norm",
    .mlp_norm = ".ffn_norm",
    .gate = ".ffn_gate",
    .up = ".ffn_up",
    .gate_up = "",
    .down = ".ffn_down",
    .mlp_post_norm = ".post_ffw_norm",
    .moe = kGgufMoeNames,
};

inline constexpr Names kHfNames = {
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .head = "lm_head",
    .layer_prefix = "model.layers.",
    .attention_norm = ".input_layernorm",
    .q = ".self_attn.q_proj",
    .k = ".self_attn.k_proj",
    .v = ".self_attn.v_proj",
    .qkv = "",
    .q_norm = ".self_attn.q_norm",
    .k_norm = ".self_attn.k_norm",
    .sinks = ".self_attn.sinks",
    .attention_out = ".self_attn.o_proj",
    .attention_post_norm = "",
    .mlp_norm = ".post_attention_layernorm",
    .gate = ".mlp.gate_proj",
    .up = ".mlp.up_proj",
    .gate_up = "",
    .down = ".mlp.down_proj",
    .mlp_post_norm = "",
};

}  // namespace glia::models::decoder
