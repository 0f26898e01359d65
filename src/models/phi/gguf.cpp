#include "models/decoder/gguf_fields.h"
#include "models/decoder/limits.h"
#include "models/phi/phi.h"

namespace glia::models::phi {

using namespace decoder;

Description describe_phi2(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_common(f);
  Config& c = d.config;
  c.norm = NormKind::layer;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_epsilon"));
  c.parallel = true;
  c.gated = false;
  c.gate = kernels::Gate::gelu_tanh;
  f.check_all_read();
  check_config(c);
  return d;
}

Description describe_phi3(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_common(f);
  Config& c = d.config;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_rms_epsilon"));
  d.names.gate_up = d.names.up;  // the converter keeps the fused tensor under this name
  const auto window = f.window_or(0);
  for (LayerConfig& layer : c.layers) layer.window = window;
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::phi
