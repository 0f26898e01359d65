#include "formats/quote_name.h"
#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/gpt_oss/gpt_oss.h"

namespace glia::models::gpt_oss {

using namespace decoder;

namespace {

void check_quantisation(const HfFields& f) {
  if (!f.has("quantization_config")) return;
  const HfFields quantisation(f.object_at("quantization_config"));
  const auto method = quantisation.string_or("quant_method", "");
  if (method != "mxfp4") {
    refuse("config.json's quantization_config has the quant_method " + formats::quote_name(method) +
           ", which is not supported for this family");
  }
}

void check_constant(const HfFields& f, std::string_view key, double value) {
  if (f.number_or(key, value) != value) {
    refuse(HfFields::field(key) + " is not " + std::to_string(value) + ", which is not supported");
  }
}

}  // namespace

Description describe(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"gpt_oss"});
  check_quantisation(f);
  check_constant(f, "swiglu_alpha", 1.702);
  check_constant(f, "swiglu_limit", 7.0);
  if (!f.has("rope_parameters") && !f.has("rope_scaling")) refuse(HfFields::field("rope_scaling") + " is missing");
  Description d{.architecture = "gpt-oss",
                .config = read_common(f, {.head_dim = 64, .context = 131072, .needs_kv_heads = true}),
                .names = kHfNames};
  Config& c = d.config;
  read_activation(f, "hidden_act", "silu");
  c.gate = kernels::Gate::clamped_swiglu;
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-5));
  c.sinks = true;
  c.qkv_bias = c.attention_out_bias = f.boolean_or("attention_bias", true);
  read_ropes(f, c, 150000.0);
  std::vector<bool> slides(c.layers.size());
  for (std::size_t i = 0; i < slides.size(); i += 2) slides[i] = true;
  read_windows(f, c, read_window(f, 128), slides);

  MoeConfig m;
  m.experts = f.dimension_at("num_local_experts", kMostExperts);
  m.used = f.dimension_at("num_experts_per_tok", kMostExperts);
  m.ff = c.ff;
  m.normalise = true;
  m.router_bias = m.expert_bias = true;
  c.moe = m;
  for (LayerConfig& layer : c.layers) layer.experts = true;
  d.names.moe = {.layout = ExpertLayout::transposed,
                 .router = ".mlp.router",
                 .down = ".mlp.experts.down_proj",
                 .gate_up = ".mlp.experts.gate_up_proj"};
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::gpt_oss
