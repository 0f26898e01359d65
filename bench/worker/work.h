// What glia_worker measures: one piece of work on a loaded model at a time. Errors: what the engine throws; a failed
// generation as std::runtime_error.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "engine/engine.h"

namespace glia::bench {

/// Seconds to take in `tokens` random tokens, up to the first sampled one.
double prefill(engine::ChatModel& model, std::mt19937& random, int tokens);

/// Seconds for `steps` steps of `sequences` sequences, one token each, after a start of one token.
double decode(engine::ChatModel& model, std::mt19937& random, int steps, int sequences);

struct SharedPrefix {
  double first_s = 0;   ///< to the first token of a prompt of `tokens` + 16
  double second_s = 0;  ///< the same of one that shares the first `tokens`
};
/// Two prompts that nothing else shares. The engine's prefix cache must be on.
SharedPrefix shared_prefix(engine::ChatModel& model, std::mt19937& random, int tokens);

struct Answer {
  double seconds = 0;  ///< after the first token
  int tokens = 0;
  std::string text;
};
/// The greedy answer to one user message, as a chat.
Answer answer(engine::ChatModel& model, const std::string& message, int max_tokens);

struct Crowd {
  double seconds = 0;
  std::int64_t tokens = 0;  ///< of the answers
};
/// Asks each line of `file` (a prompt: {"content": "…", "max_tokens": N}), `at_once` at a time, as serve's load does.
Crowd crowd(engine::ChatModel& model, const std::string& file, int at_once);

}  // namespace glia::bench
