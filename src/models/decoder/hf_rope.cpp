#include <cmath>

#include "formats/quote_name.h"
#include "models/decoder/hf_common.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

double original_context(const HfFields& f, const HfFields& outer, const Config& c) {
  constexpr auto kField = "original_max_position_embeddings";
  const std::int32_t inner = f.dimension_or(kField, kMostContext, c.context);
  return static_cast<double>(outer.dimension_or(kField, kMostContext, inner));
}

void read_llama3(const HfFields& f, const HfFields& outer, const Config& c, RopeParameters& rope) {
  rope.scaling = RopeScaling::llama3;
  rope.factor = f.number_at("factor");
  rope.low_freq_factor = number_within(f.number_at("low_freq_factor"), 1e-3, 1e6, HfFields::field("low_freq_factor"));
  rope.high_freq_factor =
      number_within(f.number_at("high_freq_factor"), 1e-3, 1e6, HfFields::field("high_freq_factor"));
  rope.original_context = original_context(f, outer, c);
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    refuse("config.json's high_freq_factor is not above its low_freq_factor");
  }
}

void read_yarn(const HfFields& f, const HfFields& outer, const Config& c, RopeParameters& rope) {
  rope.scaling = RopeScaling::yarn;
  rope.original_context = original_context(f, outer, c);
  rope.factor = f.number_or("factor", c.context / rope.original_context);
  number_within(rope.factor, 1e-3, 1e6, HfFields::field("factor"));
  rope.beta_fast = number_within(f.number_or("beta_fast", 32.0), 1e-3, 1e6, HfFields::field("beta_fast"));
  rope.beta_slow = number_within(f.number_or("beta_slow", 1.0), 1e-3, 1e6, HfFields::field("beta_slow"));
  rope.truncate = f.boolean_or("truncate", true);
  const double mscale = number_within(f.number_or("mscale", 0), 0, 1e3, HfFields::field("mscale"));
  const double all_dim = number_within(f.number_or("mscale_all_dim", 0), 0, 1e3, HfFields::field("mscale_all_dim"));
  const double inferred = mscale != 0 && all_dim != 0
                              ? yarn_attention_factor(rope.factor, mscale) / yarn_attention_factor(rope.factor, all_dim)
                              : yarn_attention_factor(rope.factor);
  rope.attention_factor = static_cast<float>(f.number_or("attention_factor", inferred));
}

std::vector<float> read_factors(const HfFields& f, std::string_view key, std::int32_t count) {
  const auto* value = f.find(key);
  const auto* list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr || list->size() != static_cast<std::size_t>(count)) {
    refuse(HfFields::field(key) + " is not a list of " + std::to_string(count) + " numbers");
  }
  std::vector<float> out;
  for (const auto& entry : *list) {
    if (!entry.is_number()) refuse(HfFields::field(key) + " holds something else than numbers");
    out.push_back(static_cast<float>(number_within(entry.to_number<double>(), 1e-3, 1e6, HfFields::field(key))));
  }
  return out;
}

/// The table is chosen once for all sequences, as llama.cpp and vLLM choose it: a model that reaches further than its
/// original context turns by the long factors everywhere. (transformers changes tables while a sequence grows, which
/// turns the keys that it already has by the wrong angles.)
void read_longrope(const HfFields& f, const HfFields& outer, const Config& c, RopeSpec& spec) {
  const double original = original_context(f, outer, c);
  const auto long_factors = read_factors(f, "long_factor", c.rope_dims / 2);
  const auto short_factors = read_factors(f, "short_factor", c.rope_dims / 2);
  spec.divisors = static_cast<double>(c.context) > original ? long_factors : short_factors;
  const double factor =
      number_within(f.number_or("factor", c.context / original), 1e-3, 1e6, HfFields::field("factor"));
  if (factor > 1.0 && original < 2.0) refuse(HfFields::field("original_max_position_embeddings") + " is too small");
  const double inferred = factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(factor) / std::log(original));
  spec.parameters.attention_factor = static_cast<float>(f.number_or("attention_factor", inferred));
}

/// The object that holds the rotary parameters, whatever its name; null when there is none.
const json::value* rope_object(const HfFields& f) {
  const auto* newer = f.find("rope_parameters");
  const auto* older = f.find("rope_scaling");
  const auto* value = older != nullptr ? older : newer;
  if (value != nullptr && !value->is_object()) refuse("config.json's rotary scaling is not an object");
  return value;
}

}  // namespace

RopeSpec read_rope(const HfFields& f, double theta, const HfFields& outer, const Config& c) {
  RopeSpec spec;
  spec.parameters.theta = f.number_or("rope_theta", theta);
  // Checked here already: yarn and longrope compute with it.
  number_within(spec.parameters.theta, 1.0 + 1e-6, 1e12, "the rotary theta");
  const auto type = f.string_or("rope_type", f.string_or("type", "default"));
  if (type == "default") return spec;
  if (type == "linear") {
    spec.parameters.scaling = RopeScaling::linear;
    spec.parameters.factor = f.number_at("factor");
  } else if (type == "llama3") {
    read_llama3(f, outer, c, spec.parameters);
  } else if (type == "longrope" || type == "su" || (type == "yarn" && f.has("long_factor"))) {  // its earlier names
    read_longrope(f, outer, c, spec);
  } else if (type == "yarn") {
    read_yarn(f, outer, c, spec.parameters);
  } else {
    refuse("config.json's rope_type " + formats::quote_name(type) + " is not supported");
  }
  return spec;
}

void read_ropes(const HfFields& f, Config& c, double default_theta) {
  read_partial_ropes(f, c, default_theta, 1.0);
  if (c.rope_dims != c.head_dim) refuse("config.json's partial_rotary_factor is not 1, which is not supported");
}

void read_partial_ropes(const HfFields& f, Config& c, double default_theta, double partial_default) {
  const json::object empty;
  const auto* value = rope_object(f);
  const HfFields rope(value == nullptr ? empty : value->get_object());
  const double partial = rope.number_or("partial_rotary_factor", f.number_or("partial_rotary_factor", partial_default));
  number_within(partial, 1e-3, 1.0, HfFields::field("partial_rotary_factor"));
  c.rope_dims = static_cast<std::int32_t>(c.head_dim * partial);
  c.ropes = {read_rope(rope, f.number_or("rope_theta", default_theta), f, c)};
}

}  // namespace glia::models::decoder
