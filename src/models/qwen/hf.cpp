#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/qwen/qwen.h"

namespace glia::models::qwen {

using namespace decoder;

namespace {

Description read_shared(const HfFields& f, std::string_view architecture, const HfDefaults& defaults) {
  Description d{.architecture = std::string(architecture), .config = read_common(f, defaults), .names = kHfNames};
  Config& c = d.config;
  c.gate = read_activation(f, "hidden_act", "silu");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  read_ropes(f, c, 10000.0);
  // sliding_window alone says nothing: published files carry it with use_sliding_window false.
  const std::int32_t window = read_window(f, 4096);
  const auto first = static_cast<std::size_t>(f.count_or("max_window_layers", kMostLayers, 28));
  const bool slides = f.boolean_or("use_sliding_window", false) && window != 0;
  std::vector<bool> sliding(c.layers.size(), slides);
  for (std::size_t i = 0; i < sliding.size() && i < first; i++) sliding[i] = false;
  read_windows(f, c, slides ? window : 0, sliding);
  return d;
}

}  // namespace

Description describe_qwen2(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"qwen2"});
  Description d = read_shared(f, "qwen2", {.context = 32768, .needs_kv_heads = true});
  d.config.qkv_bias = true;
  f.check_all_read();
  check_config(d.config);
  return d;
}

Description describe_qwen3(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"qwen3"});
  Description d = read_shared(f, "qwen3", {.head_dim = 128, .context = 32768, .needs_kv_heads = true});
  d.config.qk_norm = true;
  d.config.qkv_bias = d.config.attention_out_bias = f.boolean_or("attention_bias", false);
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace glia::models::qwen
