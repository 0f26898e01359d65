#include "engine/step_cost.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace glia::engine {
namespace {

constexpr double kRate = 0.2;

// A row more costs about an eighth of what the first does: between compute that is all and weights that are read once.
double shape(double rows) { return 1 + (rows - 1) / 8; }

}  // namespace

StepCost::Place StepCost::place_of(std::int32_t rows) {
  const auto r = static_cast<std::uint32_t>(std::max(rows, 1));
  const auto knot = std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(r)) - 1, kKnots - 2);
  const double below = std::ldexp(1.0, static_cast<int>(knot));
  return {knot, std::min((r - below) / below, 1.0)};
}

void StepCost::learn(std::int32_t rows, double ms) {
  if (!std::isfinite(ms) || ms <= 0) return;
  if (!known_) {
    for (std::size_t i = 0; i < kKnots; ++i) {
      ms_[i] = ms * shape(std::ldexp(1.0, static_cast<int>(i))) / shape(std::max(rows, 1));
    }
    known_ = true;
    return;
  }
  const Place p = place_of(rows);
  const double expected = ms_[p.knot] * (1 - p.share) + ms_[p.knot + 1] * p.share;
  const double off = std::min(ms - expected, expected);
  ms_[p.knot] += kRate * off * (1 - p.share);
  ms_[p.knot + 1] += kRate * off * p.share;
}

double StepCost::of(std::int32_t rows) const {
  const Place p = place_of(rows);
  const double lower = *std::max_element(ms_.begin(), ms_.begin() + static_cast<std::ptrdiff_t>(p.knot) + 1);
  return lower * (1 - p.share) + std::max(lower, ms_[p.knot + 1]) * p.share;
}

std::int32_t StepCost::rows_within(double ms, std::int32_t least, std::int32_t most) const {
  std::int32_t low = least;
  std::int32_t high = std::max(most, least);
  while (low < high) {
    const std::int32_t middle = low + (high - low + 1) / 2;
    if (of(middle) <= ms) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace glia::engine
