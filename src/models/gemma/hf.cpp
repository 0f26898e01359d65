#include <cmath>

#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/gemma/gemma.h"

namespace glia::models::gemma {

using namespace decoder;

namespace {

Description read_shared(const HfFields& f, std::string_view architecture, std::int32_t default_context) {
  const HfDefaults defaults{.tied = true, .head_dim = 256, .context = default_context, .needs_kv_heads = true};
  Description d{.architecture = std::string(architecture), .config = read_common(f, defaults), .names = kHfNames};
  Config& c = d.config;
  c.gate = kernels::Gate::gelu_tanh;
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  c.norm_offset = 1;
  c.embedding_scale = std::sqrt(static_cast<float>(c.hidden));
  c.qkv_bias = c.attention_out_bias = f.boolean_or("attention_bias", false);
  return d;
}

/// The second and third generation.
Description read_later(const HfFields& f, std::string_view architecture, std::int32_t default_context) {
  Description d = read_shared(f, architecture, default_context);
  Config& c = d.config;
  d.names.attention_post_norm = ".post_attention_layernorm";
  d.names.mlp_norm = ".pre_feedforward_layernorm";
  d.names.mlp_post_norm = ".post_feedforward_layernorm";
  c.post_norms = true;
  c.gate = read_activation(f, "hidden_activation", "gelu_pytorch_tanh");
  c.attention_scale = static_cast<float>(std::pow(f.number_or("query_pre_attn_scalar", 256.0), -0.5));
  number_within(static_cast<double>(c.attention_scale), 1e-3, 1e3, HfFields::field("query_pre_attn_scalar"));
  return d;
}

/// An absent cap is `fallback`, a null one is none.
float read_cap(const HfFields& f, std::string_view key, double fallback) {
  const double cap = f.number_or(key, f.contains(key) ? 0.0 : fallback);
  return f.has(key) ? static_cast<float>(number_within(cap, 1e-3, 1e6, HfFields::field(key))) : static_cast<float>(cap);
}

/// True for all layers but every `period`-th.
std::vector<bool> all_but_every(std::size_t period, const Config& c) {
  std::vector<bool> out(c.layers.size());
  for (std::size_t i = 0; i < out.size(); i++) out[i] = (i + 1) % period != 0;
  return out;
}

/// The rotary tables of full and of sliding layers: one object for each (transformers 5), or the fields of a llama for
/// the first and rope_local_base_freq for the second.
void read_two_ropes(const HfFields& f, Config& c) {
  const auto* both = f.find("rope_parameters");
  if (both != nullptr && both->is_object() && both->get_object().contains("full_attention")) {
    const HfFields tables(both->get_object());
    const HfFields full(tables.object_at("full_attention"));
    const HfFields sliding(tables.object_at("sliding_attention"));
    c.ropes = {read_rope(full, 1e6, f, c), read_rope(sliding, 10000.0, f, c)};
  } else {
    read_ropes(f, c, 1e6);
    RopeSpec local;
    local.parameters.theta = f.number_or("rope_local_base_freq", 10000.0);
    c.ropes.push_back(local);
  }
  for (LayerConfig& layer : c.layers) layer.rope = layer.window != 0 ? 1 : 0;
}

/// Positions that a row of a sliding layer sees: in one direction, itself included.
std::int32_t read_window_of_gemma3(const HfFields& f, bool both_ways) {
  const std::int32_t window = read_window(f, 4096);
  return both_ways && window != 0 ? window / 2 + 1 : window;
}

Description read_gemma3(const HfFields& f, bool encodes = false) {
  f.check_model_type({"gemma3_text"});
  Description d = read_later(f, "gemma3", 131072);
  Config& c = d.config;
  c.qk_norm = true;
  // The class takes a cap on scores and computes without it.
  if (read_cap(f, "attn_logit_softcapping", 0) != 0) refuse(HfFields::field("attn_logit_softcapping") + " is set");
  c.logit_softcap = read_cap(f, "final_logit_softcapping", 0);
  c.both_ways = encodes && f.boolean_or("use_bidirectional_attention", false);
  const auto period = static_cast<std::size_t>(f.dimension_or("sliding_window_pattern", kMostLayers, 6));
  read_windows(f, c, read_window_of_gemma3(f, c.both_ways), all_but_every(period, c));
  read_two_ropes(f, c);
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace

Description describe_gemma(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"gemma"});
  Description d = read_shared(f, "gemma", 8192);
  // "gelu" is what the first files say; the weights were trained with the approximation.
  const auto act = f.string_or("hidden_activation", f.string_or("hidden_act", "gelu_pytorch_tanh"));
  if (act != "gelu")
    d.config.gate = read_activation(f, f.has("hidden_activation") ? "hidden_activation" : "hidden_act", act);
  read_ropes(f, d.config, 10000.0);
  f.check_all_read();
  check_config(d.config);
  return d;
}

Description describe_gemma2(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"gemma2"});
  Description d = read_later(f, "gemma2", 8192);
  Config& c = d.config;
  c.attention_softcap = read_cap(f, "attn_logit_softcapping", 50.0);
  c.logit_softcap = read_cap(f, "final_logit_softcapping", 30.0);
  read_windows(f, c, read_window(f, 4096), all_but_every(2, c));
  read_ropes(f, c, 10000.0);
  f.check_all_read();
  check_config(c);
  return d;
}

Description describe_gemma3(const formats::HfFolder& folder) { return read_gemma3(HfFields(folder.config())); }

Description describe_gemma3_encoder(const formats::HfFolder& folder) {
  return read_gemma3(HfFields(folder.config()), /*encodes=*/true);
}

Description describe_gemma3_with_vision(const formats::HfFolder& folder) {
  const HfFields outer(folder.config());
  outer.check_model_type({"gemma3"});
  Description d = read_gemma3(HfFields(outer.object_at("text_config")));
  read_text_side(folder, outer, d);
  return d;
}

}  // namespace glia::models::gemma
