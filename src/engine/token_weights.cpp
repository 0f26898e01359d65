#include "engine/token_weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace glia::engine {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kLanes = 16;
constexpr int kDigitBits = 8;
constexpr float kLeast = std::numeric_limits<float>::min();  // every weight that is not 0
constexpr double kNoMass = std::numeric_limits<double>::infinity();
constexpr std::size_t kNoCount = std::numeric_limits<std::size_t>::max();

// exp(x) for x in [-87, 0], relative error below 2e-7; -infinity, NaN and anything below -87 give 0. Branch-free so
// that the loop over a vocabulary becomes vector code. Cody-Waite reduction, then a degree 6 polynomial.
inline float exp_weight(float x) {
  constexpr float kLowest = -87.0F;
  const float in = x > kLowest ? x : kLowest;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = (in * 1.44269504088896341F + kRound) - kRound;
  float r = in - n * 0.693359375F;
  r = r - n * -2.12194440e-4F;
  float p = 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const float scale = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
  return x > kLowest ? p * scale : 0.0F;
}

// weights = exp((logits - top) * inverse) for one block; gives its sum and its largest weight.
void weigh_block(std::span<const float> logits, float top, float inverse, float* weights, double& mass,
                 float& largest) {
  std::array<float, kLanes> sums{};
  std::array<float, kLanes> tops{};
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float w = exp_weight((logits[i + j] - top) * inverse);
      weights[i + j] = w;
      sums[j] += w;
      tops[j] = w > tops[j] ? w : tops[j];
    }
  }
  mass = 0;
  largest = 0;
  for (std::size_t j = 0; j < kLanes; ++j) {
    mass += static_cast<double>(sums[j]);
    largest = std::max(largest, tops[j]);
  }
  for (; i < logits.size(); ++i) {
    const float w = exp_weight((logits[i] - top) * inverse);
    weights[i] = w;
    mass += static_cast<double>(w);
    largest = std::max(largest, w);
  }
}

}  // namespace

float largest_logit(std::span<const float> logits) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  std::array<float, kLanes> lanes;
  lanes.fill(kNothing);
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
  }
  float best = kNothing;
  for (const float lane : lanes) best = std::max(best, lane);
  for (; i < logits.size(); ++i) best = logits[i] > best ? logits[i] : best;
  return best;
}

TokenWeights::TokenWeights(std::int32_t vocab) {
  const auto n = static_cast<std::size_t>(vocab);
  weights_.resize(n);
  block_mass_.resize((n + kBlock - 1) / kBlock);
  block_max_.resize(block_mass_.size());
  ids_.resize(n + 1);  // one more: gather() writes before it decides
  kept_.resize(n + 1);
  inside_.resize(n + 1);
  bins_.resize(std::size_t{1} << kDigitBits);
}

void TokenWeights::weigh(std::span<const float> logits, float top, float inverse) {
  gathered_ = false;
  mass_ = 0;
  for (std::size_t b = 0; b < block_mass_.size(); ++b) {
    const std::size_t first = b * kBlock;
    weigh_block(logits.subspan(first, std::min(kBlock, logits.size() - first)), top, inverse, weights_.data() + first,
                block_mass_[b], block_max_[b]);
    mass_ += block_mass_[b];
  }
}

void TokenWeights::keep_top_k(std::size_t k) {
  if (k >= vocab()) return;
  if (!gathered_) gather(threshold([k](const Share& s) { return s.count >= k; }));
  keep_largest(k, kNoMass);
}

void TokenWeights::keep_top_p(double share) {
  const double mass = share * mass_;
  if (!gathered_) gather(threshold([mass](const Share& s) { return s.mass >= mass; }));
  keep_largest(kNoCount, mass);
}

void TokenWeights::keep_at_least(float least) {
  if (!gathered_) return gather(std::max(least, kLeast));
  std::size_t n = 0;
  mass_ = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    if (kept_[i] < least) continue;
    ids_[n] = ids_[i];
    kept_[n] = kept_[i];
    mass_ += static_cast<double>(kept_[i]);
    ++n;
  }
  candidates_ = n;
}

// Adds what of `weights` is at least `least`.
void TokenWeights::measure(std::span<const float> weights, float least, Share& share) {
  std::array<float, kLanes> sums{};
  std::array<std::int32_t, kLanes> counts{};
  std::size_t i = 0;
  for (; i + kLanes <= weights.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const float w = weights[i + j];
      sums[j] += w >= least ? w : 0.0F;
      counts[j] += w >= least ? 1 : 0;
    }
  }
  for (std::size_t j = 0; j < kLanes; ++j) {
    share.mass += static_cast<double>(sums[j]);
    share.count += static_cast<std::size_t>(counts[j]);
  }
  for (; i < weights.size(); ++i) {
    if (weights[i] < least) continue;
    share.mass += static_cast<double>(weights[i]);
    ++share.count;
  }
}

// Calls `visit` with the bounds of every block that holds a weight of at least `least`.
template <typename Visit>
void TokenWeights::for_blocks(float least, Visit visit) const {
  for (std::size_t b = 0; b < block_max_.size(); ++b) {
    if (block_max_[b] >= least) visit(b * kBlock, std::min((b + 1) * kBlock, weights_.size()));
  }
}

// A weight, not far below what is needed, from which on there is `enough`; kLeast when only everything is.
template <typename Enough>
float TokenWeights::threshold(Enough enough) const {
  const std::span<const float> weights(weights_);
  for (const float least : {0x1p-5F, 0x1p-9F, 0x1p-15F, 0x1p-24F}) {
    Share share;
    for_blocks(least,
               [&](std::size_t first, std::size_t end) { measure(weights.subspan(first, end - first), least, share); });
    if (enough(share)) return least;
  }
  return kLeast;
}

void TokenWeights::gather(float least) {
  const std::span<const float> weights(weights_);
  std::size_t n = 0;
  Share share;
  for_blocks(least, [&](std::size_t first, std::size_t end) {
    measure(weights.subspan(first, end - first), least, share);
    for (std::size_t i = first; i < end; ++i) {
      ids_[n] = static_cast<std::int32_t>(i);
      kept_[n] = weights[i];
      n += weights[i] >= least ? 1 : 0;
    }
  });
  gathered_ = true;
  candidates_ = n;
  mass_ = share.mass;
}

// Radix selection over the bits of the weights (positive floats order as their bits do). The first digit spans the
// range that occurs; later ones look only at the bin that holds the cut. Where rounding keeps the mass from being
// reached, the cut is the bottom of a bin.
TokenWeights::Cut TokenWeights::find_cut(std::size_t count, double mass) {
  const auto bits_of = [](float w) { return std::bit_cast<std::uint32_t>(w); };
  std::span<const float> weights = std::span<const float>(kept_).first(candidates_);
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  std::uint32_t base = bits_of(*low);
  int width = static_cast<int>(std::bit_width(bits_of(*high) - base));
  Share above;
  while (true) {
    const int shift = std::max(width - kDigitBits, 0);
    std::fill(bins_.begin(), bins_.end(), Bin{});
    for (const float w : weights) {
      Bin& bin = bins_[(bits_of(w) - base) >> shift];
      bin.mass += static_cast<double>(w);
      ++bin.count;
    }
    std::uint32_t digit = (1U << kDigitBits) - 1U;
    for (; digit > 0; --digit) {
      const Bin& bin = bins_[digit];
      if (bin.count > 0 && (above.count + bin.count >= count || above.mass + bin.mass >= mass)) break;
      above.count += bin.count;
      above.mass += bin.mass;
    }
    const std::uint32_t next = base + (digit << shift);
    if (shift == 0 || bins_[digit].count == 0) return {std::bit_cast<float>(next), above};
    std::size_t n = 0;
    for (const float w : weights) {  // from the second time on in place: writes never pass reads
      const bool here = ((bits_of(w) - base) >> shift) == digit;
      inside_[n] = w;
      n += here ? 1 : 0;
    }
    weights = std::span<const float>(inside_).first(n);
    base = next;
    width = shift;
  }
}

void TokenWeights::keep_largest(std::size_t count, double mass) {
  const Cut cut = find_cut(count, mass);
  Share kept = cut.above;
  std::size_t n = 0;
  for (std::size_t i = 0; i < candidates_; ++i) {
    const float w = kept_[i];
    bool keep = w > cut.weight;
    if (w == cut.weight && (kept.count == 0 || (kept.count < count && kept.mass < mass))) {
      keep = true;
      ++kept.count;
      kept.mass += static_cast<double>(w);
    }
    ids_[n] = ids_[i];
    kept_[n] = w;
    n += keep ? 1 : 0;
  }
  candidates_ = n;
  mass_ = kept.mass;
}

std::int32_t TokenWeights::draw(double u) const {
  if (!gathered_) return draw_from_all(u);
  double left = u * mass_;
  for (std::size_t i = 0; i + 1 < candidates_; ++i) {
    left -= static_cast<double>(kept_[i]);
    if (left < 0) return ids_[i];
  }
  return ids_[candidates_ - 1];
}

// Blocks first, then inside one.
std::int32_t TokenWeights::draw_from_all(double u) const {
  double left = u * mass_;
  std::size_t block = 0;
  while (block + 1 < block_mass_.size() && left >= block_mass_[block]) left -= block_mass_[block++];
  const std::size_t end = std::min((block + 1) * kBlock, weights_.size());
  for (std::size_t i = block * kBlock; i < end; ++i) {
    left -= static_cast<double>(weights_[i]);
    if (left < 0) return static_cast<std::int32_t>(i);
  }
  // Rounding left a little too much: the last token that has a weight, here or before.
  std::size_t last = end - 1;
  while (last > 0 && weights_[last] <= 0) --last;
  return static_cast<std::int32_t>(last);
}

}  // namespace glia::engine
