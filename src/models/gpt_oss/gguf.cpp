#include "models/decoder/gguf_moe.h"
#include "models/decoder/limits.h"
#include "models/gpt_oss/gpt_oss.h"

namespace glia::models::gpt_oss {

using namespace decoder;

Description describe(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_common(f, 150000.0);
  Config& c = d.config;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  if (c.rope_dims != c.head_dim) {
    refuse(f.key("rope.dimension_count") + " is " + std::to_string(c.rope_dims) + ", not the head dimension " +
           std::to_string(c.head_dim));
  }
  c.sinks = true;
  c.gate = kernels::Gate::clamped_swiglu;
  d.names.mlp_norm = ".post_attention_norm";  // of the layer's second half, whatever the name suggests
  // The format cannot say it: this architecture blends YaRN between fractional dimensions.
  c.ropes.front().parameters.truncate = false;
  const auto window = f.window_or(0);
  if (window == 0) refuse("metadata key \"" + f.key("attention.sliding_window") + "\" is missing");
  for (std::size_t i = 0; i < c.layers.size(); i += 2) c.layers[i].window = window;
  read_experts(f, /*normalise=*/true, d);
  if (!c.moe) refuse("metadata key \"" + f.key("expert_count") + "\" is missing");
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::gpt_oss
