#include <cmath>

#include "models/decoder/gguf_fields.h"
#include "models/decoder/limits.h"
#include "models/gemma/gemma.h"

namespace glia::models::gemma {

using namespace decoder;

namespace {

Description read(const GgufFields& f, double default_theta = 10000.0) {
  Description d = read_common(f, default_theta);
  Config& c = d.config;
  c.gate = kernels::Gate::gelu_tanh;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  c.embedding_scale = std::sqrt(static_cast<float>(c.hidden));
  if (c.rope_dims != c.head_dim) {
    refuse(f.key("rope.dimension_count") + " is " + std::to_string(c.rope_dims) + ", not the head dimension " +
           std::to_string(c.head_dim));
  }
  return d;
}

/// The largest model of a generation scales by the hidden width per head, not by the head dimension, and its files say
/// so by their number of layers alone.
void read_scale(Config& c, std::int32_t layers_of_largest) {
  if (c.layer_count() != layers_of_largest) return;
  c.attention_scale = 1.0F / std::sqrt(static_cast<float>(c.hidden / c.heads));
}

/// All layers but every `period`-th.
void set_windows(Config& c, std::int32_t window, std::size_t period) {
  for (std::size_t i = 0; i < c.layers.size(); i++) c.layers[i].window = (i + 1) % period != 0 ? window : 0;
}

Description finish(const GgufFields& f, Description d) {
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace

Description describe_gemma(const formats::GgufFile& file) {
  const GgufFields f(file);
  return finish(f, read(f));
}

Description describe_gemma2(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read(f);
  Config& c = d.config;
  c.post_norms = true;
  c.attention_softcap = static_cast<float>(f.number_or("attn_logit_softcapping", 50.0));
  c.logit_softcap = static_cast<float>(f.number_or("final_logit_softcapping", 30.0));
  set_windows(c, f.window_or(4096), 2);
  read_scale(c, 46);
  return finish(f, std::move(d));
}

namespace {

/// `window`: positions that a row of a sliding layer sees in one direction, itself included.
Description read_gemma3(const GgufFields& f, std::int32_t window) {
  Description d = read(f);
  Config& c = d.config;
  c.post_norms = true;
  c.qk_norm = true;
  c.logit_softcap = static_cast<float>(f.number_or("final_logit_softcapping", 0.0));
  set_windows(c, window, 6);
  RopeSpec local;
  local.parameters.theta = f.number_or("rope.freq_base_swa", 10000.0, 1.0 + 1e-6, 1e12);
  c.ropes.push_back(local);
  for (LayerConfig& layer : c.layers) layer.rope = layer.window != 0 ? 1 : 0;
  return d;
}

}  // namespace

Description describe_gemma3(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_gemma3(f, f.window_or(0));
  read_scale(d.config, 62);
  return finish(f, std::move(d));
}

Description describe_gemma3_encoder(const formats::GgufFile& file) {
  const GgufFields f(file);
  const std::int32_t window = f.window_or(0);
  Description d = read_gemma3(f, window == 0 ? 0 : window / 2 + 1);
  d.config.both_ways = true;
  f.has("attention.causal");  // false in some files, absent in others: the architecture says it
  return finish(f, std::move(d));
}

}  // namespace glia::models::gemma
