#include "engine/sampler.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string_view>

#include "engine/random.h"

namespace glia::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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

std::int32_t Sampler::sample(std::span<float> logits, std::uint64_t index, TokenWeights& weights) const {
  assert(logits.size() == weights.vocab());
  penalise(logits);
  float top = largest_logit(logits);
  if (top == -kInfinity) throw Error(ErrorCode::internal, "the model gave no usable logit");
  if (sampling_.temperature <= 0.0F) {
    return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), top) - logits.begin());
  }
  if (top == kInfinity) {
    for (float& l : logits) l = l == kInfinity ? 0.0F : -kInfinity;
    top = 0;
  }
  weights.weigh(logits, top, std::min(1.0F / sampling_.temperature, 1e30F));
  if (sampling_.top_k > 0) weights.keep_top_k(static_cast<std::size_t>(sampling_.top_k));
  if (sampling_.top_p < 1.0F) weights.keep_top_p(static_cast<double>(sampling_.top_p));
  if (sampling_.min_p > 0.0F) weights.keep_at_least(sampling_.min_p);
  return weights.draw(random_unit(seed_, index));
}

}  // namespace glia::engine
