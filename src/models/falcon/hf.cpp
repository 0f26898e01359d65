#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/falcon/falcon.h"

namespace glia::models::falcon {

using namespace decoder;

namespace {

constexpr Names kNames = {
    .embedding = "transformer.word_embeddings",
    .final_norm = "transformer.ln_f",
    .head = "lm_head",
    .layer_prefix = "transformer.h.",
    .attention_norm = ".input_layernorm",
    .q = "",
    .k = "",
    .v = "",
    .qkv = ".self_attention.query_key_value",
    .q_norm = "",
    .k_norm = "",
    .sinks = "",
    .attention_out = ".self_attention.dense",
    .attention_post_norm = "",
    .mlp_norm = "",
    .gate = "",
    .up = ".mlp.dense_h_to_4h",
    .gate_up = "",
    .down = ".mlp.dense_4h_to_h",
    .mlp_post_norm = "",
};

}  // namespace

Description describe(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"falcon"});
  // Either would lay out queries, keys and values in another order.
  if (f.boolean_or("new_decoder_architecture", false) || !f.boolean_or("multi_query", true)) {
    refuse("config.json's new_decoder_architecture or multi_query asks for what is not supported");
  }
  if (!f.boolean_or("parallel_attn", true) || f.dimension_or("num_ln_in_parallel_attn", 2, 1) != 1) {
    refuse("config.json's parallel_attn or num_ln_in_parallel_attn asks for what is not supported");
  }
  const HfDefaults defaults{.tied = true, .ff_field = "ffn_hidden_size", .ff_per_hidden = 4};
  Description d{.architecture = "falcon", .config = read_common(f, defaults), .names = kNames};
  Config& c = d.config;
  c.kv_heads = 1;
  c.norm = NormKind::layer;
  c.norm_eps = static_cast<float>(f.number_or("layer_norm_epsilon", 1e-5));
  c.parallel = true;
  c.gated = false;
  c.gate = read_activation(f, "activation", "gelu");
  c.qkv_bias = c.attention_out_bias = c.mlp_bias = f.boolean_or("bias", false);
  read_ropes(f, c, 10000.0);
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::falcon
