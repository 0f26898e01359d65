#include "models/decoder/limits.h"

#include "base/error.h"

namespace glia::models::decoder {

void refuse(const std::string& what) { throw Error(ErrorCode::model_unavailable, what); }

std::int32_t dimension(std::uint64_t value, std::uint64_t most, std::string_view field) {
  if (value == 0 || value > most) {
    refuse(std::string(field) + " is " + std::to_string(value) + ", not between 1 and " + std::to_string(most));
  }
  return static_cast<std::int32_t>(value);
}

double number_within(double value, double least, double most, std::string_view field) {
  if (!(value >= least && value <= most)) {  // also catches NaN
    refuse(std::string(field) + " is " + std::to_string(value) + ", out of range");
  }
  return value;
}

void check_config(const Config& c) {
  if (c.heads % c.kv_heads != 0) {
    refuse(std::to_string(c.heads) + " attention heads cannot share " + std::to_string(c.kv_heads) +
           " key-value heads");
  }
  if (c.head_dim % 2 != 0) refuse("the head dimension " + std::to_string(c.head_dim) + " is odd");
  if (static_cast<std::uint64_t>(c.heads) * static_cast<std::uint64_t>(c.head_dim) > kMostWidth) {
    refuse("attention heads of " + std::to_string(c.heads) + " x " + std::to_string(c.head_dim) + " are too wide");
  }
  if (c.rope_dims < 2 || c.rope_dims > c.head_dim || c.rope_dims % 2 != 0) {
    refuse("a head's " + std::to_string(c.rope_dims) + " rotated dimensions are odd or not within its " +
           std::to_string(c.head_dim));
  }
  number_within(static_cast<double>(c.norm_eps), 1e-12, 1.0, "the norm's epsilon");
  if (c.moe && c.moe->used > c.moe->experts) {
    refuse(std::to_string(c.moe->used) + " experts cannot be chosen among " + std::to_string(c.moe->experts));
  }
  if (c.moe) number_within(static_cast<double>(c.moe->scale), 1e-6, 1e6, "the scale of the experts' weights");
  number_within(static_cast<double>(c.attention_scale), 0, 1e3, "the attention's scale");
  number_within(static_cast<double>(c.attention_softcap), 0, 1e6, "the attention's softcap");
  number_within(static_cast<double>(c.logit_softcap), 0, 1e6, "the logits' softcap");
  for (const RopeSpec& rope : c.ropes) {
    number_within(rope.parameters.theta, 1.0, 1e12, "the rotary theta");
    number_within(rope.parameters.factor, 1e-3, 1e6, "the rotary scaling factor");
    number_within(static_cast<double>(rope.parameters.attention_factor), 1e-3, 1e3, "the rotary attention factor");
    for (const float d : rope.divisors) number_within(static_cast<double>(d), 1e-3, 1e6, "a rotary divisor");
  }
}

}  // namespace glia::models::decoder
