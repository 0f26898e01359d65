#include "models/blocks/rope_table.h"

#include <cmath>
#include <numbers>

namespace glia::models {
namespace {

double scaled(const RopeParameters& rope, double inv_freq) {
  if (rope.scaling == RopeScaling::none) return inv_freq;
  if (rope.scaling == RopeScaling::linear) return inv_freq / rope.factor;
  const double wavelength = 2.0 * std::numbers::pi / inv_freq;
  if (wavelength < rope.original_context / rope.high_freq_factor) return inv_freq;
  if (wavelength > rope.original_context / rope.low_freq_factor) return inv_freq / rope.factor;
  const double smooth =
      (rope.original_context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * inv_freq / rope.factor + smooth * inv_freq;
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeParameters& rope, std::int32_t dims, std::span<const float> divisors) {
  std::vector<float> out;
  for (std::int32_t i = 0; i < dims / 2; i++) {
    double inv_freq = scaled(rope, std::pow(rope.theta, -2.0 * i / dims));
    if (!divisors.empty()) inv_freq /= static_cast<double>(divisors[static_cast<std::size_t>(i)]);
    out.push_back(static_cast<float>(inv_freq));
  }
  return out;
}

}  // namespace glia::models
