// How many guesses a step puts to the model, and of whom: those that make more tokens a second.
//
// A step of R rows takes t(R) and gives T tokens: one a sequence, and what comes true of the guesses. One more row with
// chance p is worth it while
//   (T + p) / t(R + 1) > T / t(R), that is p > T (t(R + 1) - t(R)) / t(R).
// The likeliest of all sequences' next guesses comes first. A lone stream takes long guesses, a full batch none: there
// a row costs as much as the token that it may give.
// Thread rule: one thread at a time. Errors: none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "engine/engine.h"
#include "engine/prompt_lookup.h"
#include "engine/step_cost.h"

namespace glia::engine {

constexpr std::int32_t kMostDrafts = 24;     ///< of one sequence in one step
constexpr std::int32_t kMostDraftRows = 32;  ///< of one step

/// Rows of logits that a step may want: a token of everything that runs, and guesses where few do.
inline std::int32_t most_logit_rows(const EngineOptions& options) {
  return options.speculation ? std::max(options.max_running, 1 + kMostDrafts) : options.max_running;
}

/// One sequence that has something to guess.
struct Candidate {
  std::int32_t slot = 0;
  const PromptLookup* lookup = nullptr;
  PromptLookup::Guess guess;
  std::int32_t taken = 0;  ///< set by choose_drafts
  double next_chance = 0;  ///< that all guesses up to the next come true
};

/// Whether a guess that is all but certain would be worth a row beside `decodes` of them.
bool may_pay(std::int32_t decodes, const StepCost& cost);

/// Sets `taken`. At most `rows` in all.
void choose_drafts(std::span<Candidate> candidates, std::int32_t decodes, std::int32_t rows, const StepCost& cost);

}  // namespace glia::engine
