#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/phi/phi.h"

namespace glia::models::phi {

using namespace decoder;

Description describe_phi2(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"phi"});
  Description d{.architecture = "phi2", .config = read_common(f, {}), .names = kHfNames};
  d.names.final_norm = "model.final_layernorm";
  d.names.attention_out = ".self_attn.dense";
  d.names.up = ".mlp.fc1";
  d.names.down = ".mlp.fc2";
  Config& c = d.config;
  c.norm = NormKind::layer;
  c.norm_eps = static_cast<float>(f.number_or("layer_norm_eps", 1e-5));
  c.parallel = true;
  c.gated = false;
  c.gate = read_activation(f, "hidden_act", "gelu_new");
  c.qkv_bias = c.attention_out_bias = c.mlp_bias = c.head_bias = true;
  read_partial_ropes(f, c, 10000.0, 0.5);
  f.check_all_read();
  check_config(c);
  return d;
}

Description describe_phi3(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"phi3"});
  Description d{.architecture = "phi3", .config = read_common(f, {.context = 4096}), .names = kHfNames};
  d.names.qkv = ".self_attn.qkv_proj";
  d.names.gate_up = ".mlp.gate_up_proj";
  Config& c = d.config;
  c.gate = read_activation(f, "hidden_act", "silu");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-5));
  read_partial_ropes(f, c, 10000.0, 1.0);
  const auto window = read_window(f, 0);
  read_windows(f, c, window, std::vector<bool>(c.layers.size(), window != 0));
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::phi
