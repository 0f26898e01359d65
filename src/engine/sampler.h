// From logits to the next token: penalties, temperature, top_k, top_p, min_p, draw, in that order (engine.h, Sampling).
//
//   penalties    repetition: l > 0 ? l / r : l * r for every token of prompt and answer, once each (transformers);
//                then l -= frequency * count + presence * (count > 0), counts over the answer (OpenAI)
//   temperature  w_i = exp((l_i - max l) / temperature); 0 is the argmax, lowest id among equals, and ends here
//   top_k        the k largest weights
//   top_p        the smallest set of largest weights whose sum reaches top_p of what is left (never empty)
//   min_p        weights of at least min_p times the largest
//   draw         the first id, ascending, whose running sum passes u * (sum of what is left);
//                u = random_unit(seed, index of the token in the answer)
//
// Equal weights rank by id, lowest first. A NaN logit is a token that cannot be drawn; tokens at +infinity share the
// draw among themselves. Nothing is sorted and sample() allocates nothing.
// Errors: sample() throws glia::Error(internal) when no logit is usable (all NaN or -infinity).
// Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/token_weights.h"

namespace glia::engine {

/// Throws glia::Error(invalid_input) naming the parameter that is out of range.
void check_sampling(const Sampling& sampling);

class Sampler {
 public:
  /// `seed` replaces sampling.seed, which may be absent. `max_answer`: tokens that accept() may be given, a hint.
  Sampler(const Sampling& sampling, std::uint64_t seed, std::span<const std::int32_t> prompt, std::int32_t vocab,
          std::int32_t max_answer);

  /// Draws token number `index` of the answer. logits: [vocab], overwritten by the penalties.
  std::int32_t sample(std::span<float> logits, std::uint64_t index, TokenWeights& weights) const;
  /// `id` is now part of the answer.
  void accept(std::int32_t id);

 private:
  struct Seen {
    std::int32_t id = 0;
    std::int32_t answers = 0;  // times in the answer
  };

  bool note(std::int32_t id);  // true when it is new
  void penalise(std::span<float> logits) const;

  Sampling sampling_;
  std::uint64_t seed_;
  bool repetition_;            // penalty switched on
  bool counts_;                // frequency or presence switched on
  std::vector<Seen> seen_;     // distinct tokens, only where a penalty needs them
  std::vector<bool> is_seen_;  // [vocab]
};

}  // namespace glia::engine
