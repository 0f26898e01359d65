// What one model takes of the budget: what is fixed, and KV memory, of which it may have more or less.
//
//   while it loads   weights + text + loading
//   afterwards       weights + text + scratch + KV
//   reserved         the larger of the two with the least KV; the KV memory then grows into what the budget has left
// Errors: none; sums that overflow become the largest size, which fits nowhere. Thread rule: values.
#pragma once

#include <cstddef>

#include "engine/engine.h"
#include "engine/loader.h"

namespace glia::engine {

struct ModelMemory {
  std::size_t weights = 0;
  std::size_t text = 0;
  std::size_t loading = 0;
  std::size_t scratch = 0;   ///< activations of the largest batch, logits of all that can be wanted
  std::size_t kv_least = 0;  ///< one context, or 4096 positions of a longer one
  std::size_t kv_most = 0;   ///< as many contexts as can run, at most EngineOptions::kv_bytes

  std::size_t without_kv() const;
  std::size_t least() const;  ///< below this there is no loading it
  std::size_t most() const;
  /// KV memory for a model that was given `bytes`, of least() to most().
  std::size_t kv(std::size_t bytes) const;
};

ModelMemory plan_memory(const MemoryNeeds& needs, const EngineOptions& options);

}  // namespace glia::engine
