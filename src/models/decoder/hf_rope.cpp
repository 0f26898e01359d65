#include "formats/quote_name.h"
#include "models/decoder/hf_fields.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

void read_llama3(const HfFields& f, RopeParameters& rope) {
  rope.scaling = RopeScaling::llama3;
  rope.factor = f.number_at("factor");
  rope.low_freq_factor = number_within(f.number_at("low_freq_factor"), 1e-3, 1e6, HfFields::field("low_freq_factor"));
  rope.high_freq_factor =
      number_within(f.number_at("high_freq_factor"), 1e-3, 1e6, HfFields::field("high_freq_factor"));
  rope.original_context = static_cast<double>(f.dimension_at("original_max_position_embeddings", kMostContext));
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    refuse("config.json's high_freq_factor is not above its low_freq_factor");
  }
}

void read_scaling(const json::value& value, RopeParameters& rope) {
  if (!value.is_object()) refuse("config.json's rotary scaling is not an object");
  const HfFields f(value.get_object());
  rope.theta = f.number_or("rope_theta", rope.theta);
  if (f.number_or("partial_rotary_factor", 1.0) != 1.0) {
    refuse("config.json's partial_rotary_factor is not 1, which is not supported");
  }
  const auto type = f.string_or("rope_type", f.string_or("type", "default"));
  if (type == "default") return;
  if (type == "linear") {
    rope.scaling = RopeScaling::linear;
    rope.factor = f.number_at("factor");
  } else if (type == "llama3") {
    read_llama3(f, rope);
  } else {
    refuse("config.json's rope_type " + formats::quote_name(type) + " is not supported");
  }
}

}  // namespace

RopeSpec read_rope(const HfFields& f, double default_theta) {
  RopeSpec spec;
  spec.parameters.theta = f.number_or("rope_theta", default_theta);
  if (const auto* value = f.find("rope_parameters")) {
    read_scaling(*value, spec.parameters);
  } else if (const auto* older = f.find("rope_scaling")) {
    read_scaling(*older, spec.parameters);
  }
  return spec;
}

}  // namespace glia::models::decoder
