#include "models/decoder/gguf_fields.h"
#include "models/decoder/limits.h"
#include "models/falcon/falcon.h"

namespace glia::models::falcon {

using namespace decoder;

Description describe(const formats::GgufFile& file) {
  const GgufFields f(file);
  Description d = read_common(f);
  Config& c = d.config;
  c.norm = NormKind::layer;
  c.norm_eps = static_cast<float>(f.number_at("attention.layer_norm_epsilon"));
  c.parallel = true;
  c.gated = false;
  c.gate = kernels::Gate::gelu;
  f.check_all_read();
  check_config(c);
  return d;
}

}  // namespace glia::models::falcon
