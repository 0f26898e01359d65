#include "catalog/price.h"

#include <cmath>

namespace glia::catalog {

double TokenPrice::neurons(std::int64_t input_tokens, std::int64_t output_tokens, std::int64_t cached_tokens) const {
  // A price per million tokens is a price in millionths of a neuron per token.
  const double fresh = static_cast<double>(input_tokens - cached_tokens) * input;
  const double cached = static_cast<double>(cached_tokens) * cached_input.value_or(input);
  return std::round(fresh + cached + static_cast<double>(output_tokens) * output) / 1e6;
}

double typical_neurons(const std::vector<UnitPrice>& prices, const Typical& typical) {
  double millionths = 0;
  for (const auto& price : prices) {
    const auto it = typical.counts.find(price.unit.counts);
    if (it != typical.counts.end()) millionths += it->second * price.neurons * (1e6 / price.unit.per);
  }
  return std::round(millionths) / 1e6;
}

double published_dollars(double neurons) {
  constexpr double kSmall = 0.02;
  constexpr double kTiny = 0.001;
  const double dollars = neurons * kDollarsPerNeuron;
  if (dollars <= 0) return 0;
  const double magnitude = std::floor(std::log10(dollars));
  const double digits = dollars >= kSmall ? 3 : (dollars >= kTiny ? 2 : 3) - magnitude;
  const double scale = std::pow(10, digits);
  return std::round(dollars * scale) / scale;
}

}  // namespace glia::catalog
