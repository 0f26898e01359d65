#include "models/decoder/gguf_fields.h"
#include "models/decoder/limits.h"
#include "models/qwen/qwen.h"

namespace glia::models::qwen {

using namespace decoder;

namespace {

Description read(const GgufFields& f) {
  Description d = read_common(f);
  Config& c = d.config;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  if (c.rope_dims != c.head_dim) {
    refuse(f.key("rope.dimension_count") + " is " + std::to_string(c.rope_dims) + ", not the head dimension " +
           std::to_string(c.head_dim));
  }
  return d;
}

}  // namespace

Description describe_qwen2(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read(f);
  f.check_all_read();
  check_config(d.config);
  return d;
}

Description describe_qwen3(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read(f);
  d.config.qk_norm = true;
  f.check_all_read();
  check_config(d.config);
  return d;
}

}  // namespace glia::models::qwen
