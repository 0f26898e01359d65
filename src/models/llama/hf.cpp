#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/llama/llama.h"

namespace glia::models::llama {

using namespace decoder;

namespace {

/// What LlamaForCausalLM and MistralForCausalLM have in common.
Description read_shared(const HfFields& f, const HfDefaults& defaults) {
  Description d{.architecture = "llama", .config = read_common(f, defaults), .names = kHfNames};
  Config& c = d.config;
  c.gate = read_activation(f, "hidden_act", "silu");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  read_ropes(f, c, 10000.0);
  for (std::int32_t i = 0; i < c.layer_count(); i++) {
    d.unused.push_back(d.names.layer(i, ".self_attn.rotary_emb.inv_freq"));  // older exports carry the table
  }
  return d;
}

Description read_mistral(const HfFields& f) {
  Description d = read_shared(f, {.context = 4096 * 32, .needs_kv_heads = true});
  d.architecture = "mistral";
  const auto window = read_window(f, 4096);
  read_windows(f, d.config, window, std::vector<bool>(d.config.layers.size(), window != 0));
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace

Description describe(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"llama"});
  Description d = read_shared(f, {});
  d.config.qkv_bias = d.config.attention_out_bias = f.boolean_or("attention_bias", false);
  d.config.mlp_bias = f.boolean_or("mlp_bias", false);
  f.check_all_read();
  check_config(d.config);
  return d;
}

Description describe_mistral(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"mistral"});
  return read_mistral(f);
}

Description describe_mistral3(const formats::HfFolder& folder) {
  const HfFields outer(folder.config());
  outer.check_model_type({"mistral3"});
  const HfFields f(outer.object_at("text_config"));
  f.check_model_type({"mistral"});
  Description d = read_mistral(f);
  read_text_side(folder, outer, d);
  return d;
}

}  // namespace glia::models::llama
