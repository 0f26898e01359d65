#include "models/blocks/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace glia::models {
namespace {

double llama3_scaled(const RopeParameters& rope, double inv_freq) {
  const double wavelength = 2.0 * std::numbers::pi / inv_freq;
  if (wavelength < rope.original_context / rope.high_freq_factor) return inv_freq;
  if (wavelength > rope.original_context / rope.low_freq_factor) return inv_freq / rope.factor;
  const double smooth =
      (rope.original_context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * inv_freq / rope.factor + smooth * inv_freq;
}

/// The dimension that turns `rotations` times within the original context.
double yarn_dimension(const RopeParameters& rope, std::int32_t dims, double rotations) {
  return dims * std::log(rope.original_context / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(rope.theta));
}

double yarn_scaled(const RopeParameters& rope, std::int32_t dims, std::int32_t i, double inv_freq) {
  double low = yarn_dimension(rope, dims, rope.beta_fast);
  double high = yarn_dimension(rope, dims, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;
  const double interpolated = std::clamp((i - low) / (high - low), 0.0, 1.0);
  return inv_freq / rope.factor * interpolated + inv_freq * (1.0 - interpolated);
}

double scaled(const RopeParameters& rope, std::int32_t dims, std::int32_t i, double inv_freq) {
  switch (rope.scaling) {
    case RopeScaling::none:
      return inv_freq;
    case RopeScaling::linear:
      return inv_freq / rope.factor;
    case RopeScaling::llama3:
      return llama3_scaled(rope, inv_freq);
    case RopeScaling::yarn:
      return yarn_scaled(rope, dims, i, inv_freq);
  }
  return inv_freq;
}

}  // namespace

double yarn_attention_factor(double factor, double weight) {
  return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

std::vector<float> inverse_frequencies(const RopeParameters& rope, std::int32_t dims, std::span<const float> divisors) {
  std::vector<float> out;
  for (std::int32_t i = 0; i < dims / 2; i++) {
    double inv_freq = scaled(rope, dims, i, std::pow(rope.theta, -2.0 * i / dims));
    if (!divisors.empty()) inv_freq /= static_cast<double>(divisors[static_cast<std::size_t>(i)]);
    out.push_back(static_cast<float>(inv_freq));
  }
  return out;
}

}  // namespace glia::models
