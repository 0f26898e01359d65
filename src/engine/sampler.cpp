#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>

#include "engine/random.h"

namespace glia::engine {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kLanes = 16;
constexpr int kDigitBits = 8;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

// Largest logit; NaN is passed over; -infinity when there is nothing else.
float largest(std::span<const float> logits) {
  std::array<float, kLanes> lanes;
  lanes.fill(-kInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
  }
  float best = -kInfinity;
  for (const float lane : lanes) best = std::max(best, lane);
  for (; i < logits.size(); ++i) best = logits[i] > best ? logits[i] : best;
  return best;
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

void require(bool ok, std::string_view what) {
  if (!ok) throw Error(ErrorCode::invalid_input, what);
}

}  // namespace

void check_sampling(const Sampling& s) {
  require(std::isfinite(s.temperature) && s.temperature >= 0.0F, "temperature must be a number of at least 0");
  require(s.top_k >= 0, "top_k must be at least 0");
  require(s.top_p >= 0.0F && s.top_p <= 1.0F, "top_p must be between 0 and 1");
  require(s.min_p >= 0.0F && s.min_p <= 1.0F, "min_p must be between 0 and 1");
  require(std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0.0F,
          "repetition_penalty must be a number above 0");
  require(std::isfinite(s.frequency_penalty), "frequency_penalty must be a number");
  require(std::isfinite(s.presence_penalty), "presence_penalty must be a number");
}

SamplerScratch::SamplerScratch(std::int32_t vocab) {
  const auto n = static_cast<std::size_t>(vocab);
  weights_.resize(n);
  block_mass_.resize((n + kBlock - 1) / kBlock);
  block_max_.resize(block_mass_.size());
  ids_.resize(n + 1);  // one more: the gather below writes before it decides
  kept_.resize(n + 1);
  inside_.resize(n + 1);
  bins_.resize(std::size_t{1} << kDigitBits);
}

Sampler::Sampler(const Sampling& sampling, std::uint64_t seed, std::span<const std::int32_t> prompt, std::int32_t vocab,
                 std::int32_t max_answer)
    : sampling_(sampling),
      seed_(seed),
      repetition_(sampling.repetition_penalty != 1.0F),
      counts_(sampling.frequency_penalty != 0.0F || sampling.presence_penalty != 0.0F) {
  if (!repetition_ && !counts_) return;
  is_seen_.resize(static_cast<std::size_t>(vocab));
  if (repetition_) {
    for (const std::int32_t id : prompt) note(id);
  }
  seen_.reserve(std::min(seen_.size() + static_cast<std::size_t>(max_answer), is_seen_.size()));
}

bool Sampler::note(std::int32_t id) {
  const auto i = static_cast<std::size_t>(id);
  if (is_seen_[i]) return false;
  is_seen_[i] = true;
  seen_.push_back({id, 0});
  return true;
}

void Sampler::accept(std::int32_t id) {
  if (!repetition_ && !counts_) return;
  if (note(id)) {
    seen_.back().answers = 1;
    return;
  }
  const auto entry = std::find_if(seen_.begin(), seen_.end(), [id](const Seen& s) { return s.id == id; });
  ++entry->answers;
}

void Sampler::penalise(std::span<float> logits) const {
  for (const Seen& seen : seen_) {
    float& l = logits[static_cast<std::size_t>(seen.id)];
    if (repetition_) l = l > 0.0F ? l / sampling_.repetition_penalty : l * sampling_.repetition_penalty;
    if (seen.answers > 0) {
      l -= sampling_.frequency_penalty * static_cast<float>(seen.answers) + sampling_.presence_penalty;
    }
  }
}

namespace {

// What the selection below works on: candidate ids, ascending, and their weights.
struct Candidates {
  std::span<std::int32_t> ids;
  std::span<float> weights;
  std::size_t count = 0;
  double mass = 0;
};

struct Share {
  std::size_t count = 0;
  double mass = 0;
};

// Adds what of these weights is at least `least`.
void measure(std::span<const float> weights, float least, Share& share) {
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
void for_blocks(std::span<const float> weights, std::span<const float> block_max, float least, Visit visit) {
  for (std::size_t b = 0; b < block_max.size(); ++b) {
    if (block_max[b] >= least) visit(b * kBlock, std::min((b + 1) * kBlock, weights.size()));
  }
}

// The candidates of at least `least`.
void gather(Candidates& out, std::span<const float> weights, std::span<const float> block_max, float least) {
  std::size_t n = 0;
  Share share;
  for_blocks(weights, block_max, least, [&](std::size_t first, std::size_t end) {
    measure(weights.subspan(first, end - first), least, share);
    for (std::size_t i = first; i < end; ++i) {
      out.ids[n] = static_cast<std::int32_t>(i);
      out.weights[n] = weights[i];
      n += weights[i] >= least ? 1 : 0;
    }
  });
  out.count = n;
  out.mass = share.mass;
}

constexpr float kLeast = std::numeric_limits<float>::min();  // every weight that is not 0

// A weight, not far below what is needed, of which `enough` holds; kLeast when only everything is enough.
template <typename Enough>
float threshold(std::span<const float> weights, std::span<const float> block_max, Enough enough) {
  for (const float least : {0x1p-5F, 0x1p-9F, 0x1p-15F, 0x1p-24F}) {
    Share share;
    for_blocks(weights, block_max, least,
               [&](std::size_t first, std::size_t end) { measure(weights.subspan(first, end - first), least, share); });
    if (enough(share)) return least;
  }
  return kLeast;
}

void keep_if_at_least(Candidates& c, float least) {
  std::size_t n = 0;
  c.mass = 0;
  for (std::size_t i = 0; i < c.count; ++i) {
    if (c.weights[i] < least) continue;
    c.ids[n] = c.ids[i];
    c.weights[n] = c.weights[i];
    c.mass += static_cast<double>(c.weights[i]);
    ++n;
  }
  c.count = n;
}

// The weight at which the largest ones reach `count` members or `mass`, and what lies above it.
struct Cut {
  float weight = 0;
  Share above;
};

// Radix selection over the bits of the weights (positive floats order as their bits do). The first digit spans the
// range that occurs, later ones look only at the bin that holds the cut, copied to `inside`: one pass and a bit,
// whatever the input. Where rounding keeps the mass from being reached, the cut is the bottom of a bin.
template <typename Bin>
Cut find_cut(std::span<const float> weights, std::span<float> inside, std::vector<Bin>& bins, std::size_t count,
             double mass) {
  const auto bits_of = [](float w) { return std::bit_cast<std::uint32_t>(w); };
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  std::uint32_t base = bits_of(*low);
  int width = std::bit_width(bits_of(*high) - base);
  Share above;
  while (true) {
    const int shift = std::max(width - kDigitBits, 0);
    std::fill(bins.begin(), bins.end(), Bin{});
    for (const float w : weights) {
      Bin& bin = bins[(bits_of(w) - base) >> shift];
      bin.mass += static_cast<double>(w);
      ++bin.count;
    }
    std::uint32_t digit = (1U << kDigitBits) - 1U;
    for (; digit > 0; --digit) {
      const Bin& bin = bins[digit];
      if (bin.count > 0 && (above.count + bin.count >= count || above.mass + bin.mass >= mass)) break;
      above.count += bin.count;
      above.mass += bin.mass;
    }
    const std::uint32_t next = base + (digit << shift);
    if (shift == 0 || bins[digit].count == 0) return {std::bit_cast<float>(next), above};
    std::size_t n = 0;
    for (const float w : weights) {  // in place from the second time on: never ahead of what is read
      inside[n] = w;
      n += ((bits_of(w) - base) >> shift) == digit ? 1 : 0;
    }
    weights = inside.first(n);
    base = next;
    width = shift;
  }
}

// Keeps the smallest set of largest weights that reaches `count` members or `mass`, at least one; of equal ones the
// lowest ids.
template <typename Bin>
void keep_top(Candidates& c, std::span<float> inside, std::vector<Bin>& bins, std::size_t count, double mass) {
  const Cut cut = find_cut(std::span<const float>(c.weights.first(c.count)), inside, bins, count, mass);
  Share kept = cut.above;
  std::size_t n = 0;
  for (std::size_t i = 0; i < c.count; ++i) {
    const float w = c.weights[i];
    bool keep = w > cut.weight;
    if (w == cut.weight && (kept.count == 0 || (kept.count < count && kept.mass < mass))) {
      keep = true;
      ++kept.count;
      kept.mass += static_cast<double>(w);
    }
    c.ids[n] = c.ids[i];
    c.weights[n] = w;
    n += keep ? 1 : 0;
  }
  c.count = n;
  c.mass = kept.mass;
}

// The id whose running sum passes u times the whole; blocks first, then inside one.
std::int32_t draw_all(std::span<const float> weights, std::span<const double> block_mass, double u) {
  double total = 0;
  for (const double mass : block_mass) total += mass;
  double left = u * total;
  std::size_t block = 0;
  while (block + 1 < block_mass.size() && left >= block_mass[block]) left -= block_mass[block++];
  const std::size_t end = std::min((block + 1) * kBlock, weights.size());
  for (std::size_t i = block * kBlock; i < end; ++i) {
    left -= static_cast<double>(weights[i]);
    if (left < 0) return static_cast<std::int32_t>(i);
  }
  // Rounding left a little too much: the last token that has a weight, here or before.
  std::size_t last = end - 1;
  while (last > 0 && weights[last] <= 0) --last;
  return static_cast<std::int32_t>(last);
}

std::int32_t draw(const Candidates& c, double u) {
  double left = u * c.mass;
  for (std::size_t i = 0; i + 1 < c.count; ++i) {
    left -= static_cast<double>(c.weights[i]);
    if (left < 0) return c.ids[i];
  }
  return c.ids[c.count - 1];
}

}  // namespace

std::int32_t Sampler::sample(std::span<float> logits, std::uint64_t index, SamplerScratch& scratch) const {
  assert(logits.size() == scratch.weights_.size());
  penalise(logits);
  float top = largest(logits);
  if (top == -kInfinity) throw Error(ErrorCode::internal, "the model gave no usable logit");
  if (sampling_.temperature <= 0.0F) {
    return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), top) - logits.begin());
  }
  if (top == kInfinity) {
    for (float& l : logits) l = l == kInfinity ? 0.0F : -kInfinity;
    top = 0;
  }
  const float inverse = std::min(1.0F / sampling_.temperature, 1e30F);
  double total = 0;
  for (std::size_t b = 0; b < scratch.block_mass_.size(); ++b) {
    const std::size_t first = b * kBlock;
    weigh_block(logits.subspan(first, std::min(kBlock, logits.size() - first)), top, inverse,
                scratch.weights_.data() + first, scratch.block_mass_[b], scratch.block_max_[b]);
    total += scratch.block_mass_[b];
  }
  const double u = random_unit(seed_, index);
  const bool top_k = sampling_.top_k > 0 && static_cast<std::size_t>(sampling_.top_k) < logits.size();
  const bool top_p = sampling_.top_p < 1.0F;
  if (!top_k && !top_p && sampling_.min_p <= 0.0F) return draw_all(scratch.weights_, scratch.block_mass_, u);

  constexpr double kNoMass = std::numeric_limits<double>::infinity();
  constexpr std::size_t kNoCount = std::numeric_limits<std::size_t>::max();
  const double share = static_cast<double>(sampling_.top_p);
  const std::span<const float> weights(scratch.weights_);
  const std::span<const float> block_max(scratch.block_max_);
  Candidates c{scratch.ids_, scratch.kept_};
  if (top_k) {
    const auto k = static_cast<std::size_t>(sampling_.top_k);
    const auto enough = [k](const Share& s) { return s.count >= k; };
    gather(c, weights, block_max, threshold(weights, block_max, enough));
    keep_top(c, scratch.inside_, scratch.bins_, k, kNoMass);
    total = c.mass;
  } else if (top_p) {
    const auto enough = [&](const Share& s) { return s.mass >= share * total; };
    gather(c, weights, block_max, threshold(weights, block_max, enough));
  } else {
    gather(c, weights, block_max, std::max(sampling_.min_p, kLeast));
  }
  if (top_p) keep_top(c, scratch.inside_, scratch.bins_, kNoCount, share * total);
  if (sampling_.min_p > 0.0F) keep_if_at_least(c, sampling_.min_p);
  return draw(c, u);
}

}  // namespace glia::engine
