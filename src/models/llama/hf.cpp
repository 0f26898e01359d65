#include "formats/quote_name.h"
#include "models/decoder/hf_fields.h"
#include "models/decoder/limits.h"
#include "models/llama/llama.h"

namespace glia::models::llama {

using namespace decoder;

Description describe(const formats::HfFolder& folder) {
  const HfFields f(folder.config());
  if (f.string_or("model_type", "llama") != "llama") refuse("config.json's model_type is not \"llama\"");
  const auto act = f.string_or("hidden_act", "silu");
  if (act != "silu" && act != "swish")
    refuse("config.json's hidden_act " + formats::quote_name(act) + " is not supported");
  Description d{.architecture = "llama", .config = read_common(f), .names = kHfNames};
  Config& c = d.config;
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  c.ropes = {read_rope(f, 10000.0)};
  f.check_all_read();
  check_config(c);
  for (std::int32_t i = 0; i < c.layer_count(); i++) {
    d.unused.push_back(d.names.layer(i, ".self_attn.rotary_emb.inv_freq"));  // older exports carry the table
  }
  return d;
}

}  // namespace glia::models::llama
