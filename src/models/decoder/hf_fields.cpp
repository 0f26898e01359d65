#include "models/decoder/hf_fields.h"

#include <algorithm>
#include <array>

#include "formats/quote_name.h"
#include "models/decoder/limits.h"

namespace glia::models::decoder {
namespace {

/// Fields that change the computation unless they hold this value; absent and null are neutral for each.
struct Changing {
  enum class Neutral { unset, no, yes, one };
  std::string_view key;
  Neutral neutral = Neutral::unset;
};
using N = Changing::Neutral;
constexpr std::array kChanging = {
    Changing{"alibi", N::no},
    Changing{"attention_bias", N::no},
    Changing{"attention_chunk_size"},
    Changing{"attention_multiplier"},
    Changing{"attn_logit_softcapping"},
    Changing{"clip_qkv"},
    Changing{"embedding_multiplier", N::one},
    Changing{"final_logit_softcapping"},
    Changing{"is_causal", N::yes},
    Changing{"kv_lora_rank"},
    Changing{"layer_types"},
    Changing{"logit_scale", N::one},
    Changing{"logits_scaling", N::one},
    Changing{"mlp_bias", N::no},
    Changing{"n_routed_experts"},
    Changing{"no_rope_layers"},
    Changing{"num_experts"},
    Changing{"num_local_experts"},
    Changing{"partial_rotary_factor", N::one},
    Changing{"qk_layernorm", N::no},
    Changing{"query_pre_attn_scalar"},
    Changing{"residual_multiplier", N::one},
    Changing{"rope_local_base_freq"},
    Changing{"rope_parameters"},
    Changing{"rope_scaling"},
    Changing{"rope_theta"},
    Changing{"sliding_window"},
    Changing{"use_bidirectional_attention", N::no},
    Changing{"use_qk_norm", N::no},
    Changing{"use_sliding_window", N::no},
};

bool is_neutral(const json::value& value, N neutral) {
  if (neutral == N::no) return value.is_bool() && !value.get_bool();
  if (neutral == N::yes) return value.is_bool() && value.get_bool();
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
  read_.emplace(key);
  const auto* value = object_.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
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

std::uint64_t HfFields::count_or(std::string_view key, std::uint64_t most, std::uint64_t fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* i = value->if_int64(); i != nullptr && *i == 0) return 0;
  return static_cast<std::uint64_t>(to_dimension(*value, key, most));
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

const json::object& HfFields::object_at(std::string_view key) const {
  const auto* value = find(key);
  if (value == nullptr) refuse(field(key) + " is missing");
  if (!value->is_object()) refuse(field(key) + " is not an object");
  return value->get_object();
}

void HfFields::check_model_type(std::initializer_list<std::string_view> types) const {
  const auto type = string_or("model_type", *types.begin());
  if (std::find(types.begin(), types.end(), type) == types.end()) {
    refuse("config.json's model_type " + formats::quote_name(type) + " is not " + formats::quote_name(*types.begin()));
  }
}

void HfFields::check_all_read() const {
  for (const auto& [key, neutral] : kChanging) {
    if (read_.contains(key)) continue;
    const auto* value = find(key);
    if (value != nullptr && !is_neutral(*value, neutral)) {
      refuse(field(key) + " is " + (value->is_bool() && value->get_bool() ? "true" : "set") +
             ", which is not supported");
    }
  }
}

}  // namespace glia::models::decoder
