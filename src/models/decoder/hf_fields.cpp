#include "models/decoder/hf_fields.h"

#include <array>

#include "formats/quote_name.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

/// Fields that change the computation unless they hold this value; absent and null are neutral for each.
struct Changing {
  enum class Neutral { unset, no, one };
  std::string_view key;
  Neutral neutral = Neutral::unset;
};
using N = Changing::Neutral;
constexpr std::array kChanging = {
    Changing{"attention_bias", N::no}, Changing{"mlp_bias", N::no},
    Changing{"sliding_window"},        Changing{"quantization_config"},
    Changing{"num_local_experts"},     Changing{"num_experts"},
    Changing{"n_routed_experts"},      Changing{"partial_rotary_factor", N::one},
};

bool is_neutral(const json::value& value, N neutral) {
  if (neutral == N::no) return value.is_bool() && !value.get_bool();
  if (neutral == N::one) return value.is_number() && value.to_number<double>() == 1.0;
  return false;
}

std::int32_t to_dimension(const json::value& value, std::string_view key, std::uint64_t most) {
  if (const auto* i = value.if_int64(); i != nullptr && *i >= 0) {
    return dimension(static_cast<std::uint64_t>(*i), most, HfFields::field(key));
  }
  if (const auto* u = value.if_uint64()) return dimension(*u, most, HfFields::field(key));
  refuse(HfFields::field(key) + " is not a whole number");
}

}  // namespace

std::string HfFields::field(std::string_view key) { return "config.json's " + formats::quote_name(key); }

const json::value* HfFields::find(std::string_view key) const {
  const auto* value = object_.if_contains(key);
  if (value == nullptr || value->is_null()) return nullptr;
  read_.emplace(key);
  return value;
}

std::int32_t HfFields::dimension_at(std::string_view key, std::uint64_t most) const {
  const auto* value = find(key);
  if (value == nullptr) refuse(field(key) + " is missing");
  return to_dimension(*value, key, most);
}

std::int32_t HfFields::dimension_or(std::string_view key, std::uint64_t most, std::int32_t fallback) const {
  const auto* value = find(key);
  return value == nullptr ? fallback : to_dimension(*value, key, most);
}

double HfFields::number_at(std::string_view key) const {
  if (!has(key)) refuse(field(key) + " is missing");
  return number_or(key, 0);
}

double HfFields::number_or(std::string_view key, double fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) refuse(field(key) + " is not a number");
  return value->to_number<double>();
}

bool HfFields::boolean_or(std::string_view key, bool fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) refuse(field(key) + " is not a boolean");
  return value->get_bool();
}

std::string_view HfFields::string_or(std::string_view key, std::string_view fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) refuse(field(key) + " is not a string");
  return value->get_string();
}

void HfFields::check_all_read() const {
  for (const auto& [key, neutral] : kChanging) {
    if (read_.contains(key)) continue;
    const auto* value = find(key);
    if (value != nullptr && !is_neutral(*value, neutral)) {
      refuse(field(key) + " is " + (value->is_bool() ? "true" : "set") + ", which is not supported");
    }
  }
}

Config read_common(const HfFields& f) {
  Config c;
  c.rope_layout = kernels::RopeLayout::halves;
  c.vocab = f.dimension_at("vocab_size", kMostVocab);
  c.hidden = f.dimension_at("hidden_size", kMostWidth);
  c.layers.resize(static_cast<std::size_t>(f.dimension_at("num_hidden_layers", kMostLayers)));
  c.heads = f.dimension_at("num_attention_heads", kMostHeads);
  c.kv_heads = f.dimension_or("num_key_value_heads", kMostHeads, c.heads);
  c.ff = f.dimension_at("intermediate_size", kMostWidth);
  c.context = f.dimension_or("max_position_embeddings", kMostContext, 2048);
  if (!f.has("head_dim") && c.hidden % c.heads != 0) {
    refuse("config.json's hidden_size " + std::to_string(c.hidden) + " is not a multiple of num_attention_heads " +
           std::to_string(c.heads));
  }
  c.head_dim = f.has("head_dim")
                   ? f.dimension_at("head_dim", kMostHeadDim)
                   : dimension(static_cast<std::uint64_t>(c.hidden / c.heads), kMostHeadDim, "the head dimension");
  c.rope_dims = c.head_dim;
  c.tied = f.boolean_or("tie_word_embeddings", false);
  return c;
}

}  // namespace glia::models::decoder
