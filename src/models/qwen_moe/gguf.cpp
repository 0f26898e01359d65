#include "models/decoder/gguf_moe.h"
#include "models/decoder/limits.h"
#include "models/qwen_moe/qwen_moe.h"

namespace glia::models::qwen_moe {

using namespace decoder;

namespace {

Description read(const GgufFields& f, bool normalise) {
  Description d = read_common(f);
  Config& c = d.config;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  if (c.rope_dims != c.head_dim) {
    refuse(f.key("rope.dimension_count") + " is " + std::to_string(c.rope_dims) + ", not the head dimension " +
           std::to_string(c.head_dim));
  }
  read_experts(f, normalise, d);
  if (!c.moe) refuse("metadata key \"" + f.key("expert_count") + "\" is missing");
  return d;
}

}  // namespace

Description describe_qwen2(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read(f, /*normalise=*/false);
  Config& c = d.config;
  c.moe->shared_ff = f.dimension_or("expert_shared_feed_forward_length", kMostWidth, c.ff);
  c.moe->shared_gate = true;
  f.check_all_read();
  check_config(c);
  return d;
}

Description describe_qwen3(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read(f, /*normalise=*/true);
  d.config.qk_norm = true;
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace glia::models::qwen_moe
