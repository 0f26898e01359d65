// What the llama family's tensors are called in each kind of file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace glia::models::llama {

struct Names {
  std::string_view embedding;
  std::string_view final_norm;
  std::string_view head;
  std::string_view layer_prefix;  ///< before the layer's number
  // after the layer's number
  std::string_view attention_norm, q, k, v, attention_out;
  std::string_view mlp_norm, gate, up, down;

  std::string layer(std::int32_t index, std::string_view suffix) const {
    return std::string(layer_prefix) + std::to_string(index) + std::string(suffix);
  }
};

inline constexpr Names kGgufNames = {"token_embd.weight",   "output_norm.weight", "output.weight",    "blk.",
                                     ".attn_norm.weight",   ".attn_q.weight",     ".attn_k.weight",   ".attn_v.weight",
                                     ".attn_output.weight", ".ffn_norm.weight",   ".ffn_gate.weight", ".ffn_up.weight",
                                     ".ffn_down.weight"};

inline constexpr Names kHfNames = {"model.embed_tokens.weight",
                                   "model.norm.weight",
                                   "lm_head.weight",
                                   "model.layers.",
                                   ".input_layernorm.weight",
                                   ".self_attn.q_proj.weight",
                                   ".self_attn.k_proj.weight",
                                   ".self_attn.v_proj.weight",
                                   ".self_attn.o_proj.weight",
                                   ".post_attention_layernorm.weight",
                                   ".mlp.gate_proj.weight",
                                   ".mlp.up_proj.weight",
                                   ".mlp.down_proj.weight"};

}  // namespace glia::models::llama
