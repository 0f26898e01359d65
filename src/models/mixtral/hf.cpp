#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/mixtral/mixtral.h"

namespace glia::models::mixtral {

using namespace decoder;

Description describe(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"mixtral"});
  Description d{.architecture = "mixtral",
                .config = read_common(f, {.context = 4096 * 32, .needs_kv_heads = true}),
                .names = kHfNames};
  Config& c = d.config;
  c.gate = read_activation(f, "hidden_act", "silu");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-5));
  read_ropes(f, c, 1e6);
  const auto window = read_window(f, 0);
  read_windows(f, c, window, std::vector<bool>(c.layers.size(), window != 0));

  MoeConfig m;
  m.experts = f.dimension_at("num_local_experts", kMostExperts);
  m.used = f.dimension_or("num_experts_per_tok", kMostExperts, 2);
  m.ff = c.ff;
  m.normalise = true;
  c.moe = m;
  for (LayerConfig& layer : c.layers) layer.experts = true;
  d.names.moe = {.layout = ExpertLayout::apart,
                 .router = ".block_sparse_moe.gate",
                 .expert = ".block_sparse_moe.experts.",
                 .gate = ".w1",
                 .up = ".w3",
                 .down = ".w2"};
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::mixtral
