#include "models/decoder/gguf_moe.h"

#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

/// How scores are made of the router's logits, in llama.cpp's numbers.
void read_gating(const GgufFields& f, MoeConfig& m) {
  const double gating = f.number_or("expert_gating_func", 0);
  if (gating == 0 || gating == 1) return;
  if (gating == 2) {
    m.score = kernels::RouterScore::sigmoid;
  } else if (gating == 3) {  // softmax over the chosen
    m.normalise = true;
  } else {
    refuse("metadata key \"" + f.key("expert_gating_func") + "\" asks for what is not supported");
  }
}

}  // namespace

void read_experts(const GgufFields& f, bool normalise, Description& d) {
  if (f.number_or("expert_count", 0) == 0) return;
  Config& c = d.config;
  MoeConfig m;
  m.experts = f.dimension_at("expert_count", kMostExperts);
  m.used = f.dimension_at("expert_used_count", kMostExperts);
  m.ff = f.dimension_or("expert_feed_forward_length", kMostWidth, c.ff);
  m.normalise = f.file().find_boolean(f.key("expert_weights_norm")).value_or(normalise);
  const double scale = f.number_or("expert_weights_scale", 0);
  if (scale != 0) m.scale = static_cast<float>(number_within(scale, 1e-6, 1e6, f.key("expert_weights_scale")));
  read_gating(f, m);
  const auto has = [&](std::string_view name) { return f.file().find(name).has_value(); };
  m.router_bias = has("blk.0.ffn_gate_inp.bias");
  m.expert_bias = has("blk.0.ffn_gate_exps.bias");
  c.moe = m;
  for (LayerConfig& layer : c.layers) layer.experts = true;
}

}  // namespace glia::models::decoder
