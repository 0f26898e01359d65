#include "models/decoder/gguf_fields.h"
#include "models/decoder/gguf_moe.h"
#include "models/decoder/limits.h"
#include "models/llama/llama.h"

namespace glia::models::llama {

using namespace decoder;

Description describe(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_common(f);
  Config& c = d.config;
  c.rope_layout = kernels::RopeLayout::interleaved;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  if (c.rope_dims != c.head_dim) {
    refuse(f.key("rope.dimension_count") + " is " + std::to_string(c.rope_dims) + ", not the head dimension " +
           std::to_string(c.head_dim));
  }
  constexpr auto kDivisors = "rope_freqs.weight";  // the format's way to say rope_type llama3
  if (file.find(kDivisors)) c.ropes.front().divisors_tensor = kDivisors;
  const auto window = f.window_or(0);
  for (LayerConfig& layer : c.layers) layer.window = window;
  read_experts(f, /*normalise=*/true, d);  // Mixtral
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::llama
