// What a decoder's tensors are called in a file. A stem stands before ".weight" and ".bias".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace glia::models::decoder {

struct Names {
  std::string_view embedding;
  std::string_view final_norm;
  std::string_view head;
  std::string_view layer_prefix;  ///< before the layer's number
  // after the layer's number
  std::string_view attention_norm, q, k, v, attention_out;
  std::string_view mlp_norm, gate, up, down;

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
    .attention_out = ".attn_output",
    .mlp_norm = ".ffn_norm",
    .gate = ".ffn_gate",
    .up = ".ffn_up",
    .down = ".ffn_down",
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
    .attention_out = ".self_attn.o_proj",
    .mlp_norm = ".post_attention_layernorm",
    .gate = ".mlp.gate_proj",
    .up = ".mlp.up_proj",
    .down = ".mlp.down_proj",
};

}  // namespace glia::models::decoder
