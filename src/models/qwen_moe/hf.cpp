#include <set>

#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"
#include "models/qwen_moe/qwen_moe.h"

namespace glia::models::qwen_moe {

using namespace decoder;

namespace {

/// Which layers have experts: every decoder_sparse_step-th, but for those of mlp_only_layers.
void read_sparse_layers(const HfFields& f, Config& c) {
  const auto step = static_cast<std::size_t>(f.dimension_or("decoder_sparse_step", kMostLayers, 1));
  std::set<std::size_t> dense;
  if (const auto* value = f.find("mlp_only_layers")) {
    const auto* list = value->if_array();
    if (list == nullptr) refuse(HfFields::field("mlp_only_layers") + " is not a list");
    for (const auto& entry : *list) {
      const auto* index = entry.if_int64();
      if (index == nullptr || *index < 0) refuse(HfFields::field("mlp_only_layers") + " holds what is no layer");
      dense.insert(static_cast<std::size_t>(*index));
    }
  }
  for (std::size_t i = 0; i < c.layers.size(); i++) c.layers[i].experts = (i + 1) % step == 0 && !dense.contains(i);
}

Description read(const HfFields& f, std::string_view architecture, const HfDefaults& defaults) {
  Description d{.architecture = std::string(architecture), .config = read_common(f, defaults), .names = kHfNames};
  Config& c = d.config;
  c.gate = read_activation(f, "hidden_act", "silu");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  read_ropes(f, c, 10000.0);
  // sliding_window alone says nothing: published files carry it with use_sliding_window false.
  if (f.boolean_or("use_sliding_window", false)) refuse(HfFields::field("use_sliding_window") + " is not supported");
  f.find("sliding_window");
  read_windows(f, c, 0, std::vector<bool>(c.layers.size(), false));

  MoeConfig m;
  m.experts = f.dimension_at(f.has("num_experts") ? "num_experts" : "num_local_experts", kMostExperts);
  m.used = f.dimension_at("num_experts_per_tok", kMostExperts);
  m.ff = f.dimension_at("moe_intermediate_size", kMostWidth);
  m.normalise = f.boolean_or("norm_topk_prob", false);
  c.moe = m;
  read_sparse_layers(f, c);
  d.names.moe = {.layout = ExpertLayout::apart,
                 .router = ".mlp.gate",
                 .expert = ".mlp.experts.",
                 .gate = ".gate_proj",
                 .up = ".up_proj",
                 .down = ".down_proj",
                 .shared_router = ".mlp.shared_expert_gate",
                 .shared_gate = ".mlp.shared_expert.gate_proj",
                 .shared_up = ".mlp.shared_expert.up_proj",
                 .shared_down = ".mlp.shared_expert.down_proj"};
  return d;
}

}  // namespace

Description describe_qwen2(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"qwen2_moe"});
  Description d = read(f, "qwen2moe", {.context = 32768, .needs_kv_heads = true});
  Config& c = d.config;
  c.qkv_bias = f.boolean_or("qkv_bias", true);
  c.moe->shared_ff = f.dimension_at("shared_expert_intermediate_size", kMostWidth);
  c.moe->shared_gate = true;
  f.check_all_read();
  check_config(c);
  return d;
}

Description describe_qwen3(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  f.check_model_type({"qwen3_moe"});
  Description d = read(f, "qwen3moe", {.context = 32768, .needs_kv_heads = true});
  d.config.qk_norm = true;
  d.config.qkv_bias = d.config.attention_out_bias = f.boolean_or("attention_bias", false);
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace glia::models::qwen_moe
