// How fast a model answers: some streams that arrive together, each with a prompt of random tokens and an answer of a
// fixed length. `glia bench` shows it, bench/ compares it.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/engine.h"

namespace glia::cli {

struct SpeedLoad {
  std::int32_t concurrency = 1;  ///< streams, all sent at once
  std::int32_t prompt = 256;     ///< tokens a stream
  std::int32_t answer = 128;     ///< tokens a stream, at least 1
  std::uint32_t seed = 1;        ///< of the prompts
};

struct Speed {
  double seconds = 0;              ///< from the first request to the last token
  double prompt_tokens_per_s = 0;  ///< all prompts, until the last stream has its first token
  double answer_tokens_per_s = 0;  ///< all answers, over `seconds`: prompts are part of the work
  double stream_tokens_per_s = 0;  ///< one stream after its first token, median; 0 for answers of one token
  double first_token_p50_s = 0;    ///< request to first token
  double first_token_worst_s = 0;
  double between_tokens_p50_s = 0;  ///< from one piece of a stream to its next
  double between_tokens_p99_s = 0;
};

/// `values` at `fraction` (0.5: the median) by the nearest rank; 0 for none. Sorts them.
double quantile(std::vector<double>& values, double fraction);

/// Waits until all streams are over. `tokens_done` counts answer tokens while it runs; a true `stop` cancels what runs.
/// The prefix cache has no part in it. Errors: what generate() throws and what reaches failed(); Error(aborted) after
/// `stop`.
Speed measure_speed(engine::ChatModel& model, const SpeedLoad& load, std::atomic<std::int64_t>& tokens_done,
                    const std::atomic<bool>& stop);

}  // namespace glia::cli
