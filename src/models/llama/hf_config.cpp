#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/quote_name.h"
#include "models/llama/config.h"
#include "models/llama/config_limits.h"

namespace glia::models::llama {
namespace {

/// Typed access to config.json; a null counts as absent, as in transformers.
class Fields {
 public:
  explicit Fields(const json::object& object) : object_(object) {}

  const json::value* find(std::string_view key) const {
    const auto* value = object_.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  std::int32_t dimension_at(std::string_view key, std::uint64_t most) const {
    const auto* value = find(key);
    if (value == nullptr) refuse(field(key) + " is missing");
    return to_dimension(*value, key, most);
  }
  std::int32_t dimension_or(std::string_view key, std::uint64_t most, std::int32_t fallback) const {
    const auto* value = find(key);
    return value == nullptr ? fallback : to_dimension(*value, key, most);
  }
  double number_or(std::string_view key, double fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) refuse(field(key) + " is not a number");
    return value->to_number<double>();
  }
  bool boolean_or(std::string_view key, bool fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) refuse(field(key) + " is not a boolean");
    return value->get_bool();
  }
  std::string_view string_or(std::string_view key, std::string_view fallback) const {
    const auto* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) refuse(field(key) + " is not a string");
    return value->get_string();
  }

  static std::string field(std::string_view key) { return "config.json's " + formats::quote_name(key); }

 private:
  static std::int32_t to_dimension(const json::value& value, std::string_view key, std::uint64_t most) {
    if (const auto* i = value.if_int64(); i != nullptr && *i >= 0) {
      return dimension(static_cast<std::uint64_t>(*i), most, field(key));
    }
    if (const auto* u = value.if_uint64()) return dimension(*u, most, field(key));
    refuse(field(key) + " is not a whole number");
  }

  const json::object& object_;
};

void check_supported(const Fields& f) {
  if (f.string_or("model_type", "llama") != "llama") refuse("config.json's model_type is not \"llama\"");
  const auto act = f.string_or("hidden_act", "silu");
  if (act != "silu" && act != "swish")
    refuse("config.json's hidden_act " + formats::quote_name(act) + " is not supported");
  for (const auto key : {"attention_bias", "mlp_bias"}) {
    if (f.boolean_or(key, false)) refuse(Fields::field(key) + " is true, which is not supported");
  }
  for (const auto key : {"sliding_window", "quantization_config", "num_local_experts", "num_experts"}) {
    if (f.find(key) != nullptr) refuse(Fields::field(key) + " is set, which is not supported");
  }
  if (f.number_or("partial_rotary_factor", 1.0) != 1.0) {
    refuse("config.json's partial_rotary_factor is not 1, which is not supported");
  }
}

void read_scaling(const json::value& value, RopeParameters& rope) {
  if (!value.is_object()) refuse("config.json's rotary scaling is not an object");
  const Fields f(value.get_object());
  rope.theta = f.number_or("rope_theta", rope.theta);
  if (f.number_or("partial_rotary_factor", 1.0) != 1.0) {
    refuse("config.json's partial_rotary_factor is not 1, which is not supported");
  }
  const auto type = f.string_or("rope_type", f.string_or("type", "default"));
  if (type == "default") return;
  if (type != "linear" && type != "llama3") {
    refuse("config.json's rope_type " + formats::quote_name(type) + " is not supported");
  }
  rope.scaling = type == "linear" ? RopeScaling::linear : RopeScaling::llama3;
  for (const auto key : {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    const bool needed = type == "llama3" || std::string_view(key) == "factor";
    if (needed && f.find(key) == nullptr) refuse(Fields::field(key) + " is missing");
  }
  rope.factor = f.number_or("factor", 1.0);
  if (rope.scaling == RopeScaling::linear) return;
  rope.low_freq_factor = number_within(f.number_or("low_freq_factor", 0), 1e-3, 1e6, Fields::field("low_freq_factor"));
  rope.high_freq_factor =
      number_within(f.number_or("high_freq_factor", 0), 1e-3, 1e6, Fields::field("high_freq_factor"));
  rope.original_context = static_cast<double>(f.dimension_at("original_max_position_embeddings", kMostContext));
  if (!(rope.high_freq_factor > rope.low_freq_factor)) {
    refuse("config.json's high_freq_factor is not above its low_freq_factor");
  }
}

RopeParameters read_rope(const Fields& f) {
  RopeParameters rope;
  rope.theta = f.number_or("rope_theta", 10000.0);
  // transformers 5 writes rope_parameters, which holds the theta too; older ones rope_scaling.
  if (const auto* value = f.find("rope_parameters")) {
    read_scaling(*value, rope);
  } else if (const auto* older = f.find("rope_scaling")) {
    read_scaling(*older, rope);
  }
  return rope;
}

}  // namespace

Config read_config(const formats::HfFolder& folder) {
  const Fields f(folder.config());
  check_supported(f);
  Config c;
  c.rope_layout = kernels::RopeLayout::halves;
  c.vocab = f.dimension_at("vocab_size", kMostVocab);
  c.hidden = f.dimension_at("hidden_size", kMostWidth);
  c.layers = f.dimension_at("num_hidden_layers", kMostLayers);
  c.heads = f.dimension_at("num_attention_heads", kMostHeads);
  c.kv_heads = f.dimension_or("num_key_value_heads", kMostHeads, c.heads);
  c.ff = f.dimension_at("intermediate_size", kMostWidth);
  c.context = f.dimension_or("max_position_embeddings", kMostContext, 2048);
  if (f.find("head_dim") == nullptr && c.hidden % c.heads != 0) {
    refuse("config.json's hidden_size " + std::to_string(c.hidden) + " is not a multiple of num_attention_heads " +
           std::to_string(c.heads));
  }
  c.head_dim = f.find("head_dim") != nullptr
                   ? f.dimension_at("head_dim", kMostHeadDim)
                   : dimension(static_cast<std::uint64_t>(c.hidden / c.heads), kMostHeadDim, "the head dimension");
  c.norm_eps = static_cast<float>(f.number_or("rms_norm_eps", 1e-6));
  c.tied = f.boolean_or("tie_word_embeddings", false);
  c.rope = read_rope(f);
  check_config(c);
  return c;
}

}  // namespace glia::models::llama
