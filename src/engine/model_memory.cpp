#include "engine/model_memory.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/checked.h"
#include "engine/speculation.h"

namespace glia::engine {
namespace {

constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
constexpr std::int64_t kUsefulContext = 4096;

std::size_t times(std::size_t a, std::size_t b) {
  std::uint64_t out = 0;
  return checked_mul(a, b, out) ? out : kMost;
}

std::size_t plus(std::size_t a, std::size_t b) {
  std::uint64_t out = 0;
  return checked_add(a, b, out) ? out : kMost;
}

/// Positions in whole pages.
std::size_t paged(std::int64_t positions, std::int32_t page_tokens) {
  return static_cast<std::size_t>((positions + page_tokens - 1) / page_tokens * page_tokens);
}

}  // namespace

std::size_t ModelMemory::without_kv() const { return plus(plus(weights, text), scratch); }

std::size_t ModelMemory::least() const {
  return std::max(plus(without_kv(), kv_least), plus(plus(weights, text), loading));
}

std::size_t ModelMemory::most() const { return std::max(plus(without_kv(), kv_most), least()); }

std::size_t ModelMemory::kv(std::size_t bytes) const {
  return std::clamp(bytes - std::min(bytes, without_kv()), kv_least, kv_most);
}

ModelMemory plan_memory(const MemoryNeeds& needs, const EngineOptions& options) {
  const models::MemoryEstimate& model = needs.model;
  ModelMemory out;
  out.weights = model.weight_bytes;
  out.text = needs.text_bytes;
  out.loading = needs.loading_bytes;
  // Logits: the model's own and the engine's copy of them, which sampling changes.
  const std::size_t logits = times(static_cast<std::size_t>(std::max(model.vocab, 0)), 2 * sizeof(float));
  const auto rows = static_cast<std::size_t>(std::max(options.max_batch_rows, model.least_rows));
  out.scratch = plus(times(rows, model.row_bytes), times(static_cast<std::size_t>(most_logit_rows(options)), logits));
  const std::int64_t context = std::max(model.context, 1);
  const auto kv = [&](std::int64_t positions) {
    return times(paged(positions, options.page_tokens), model.kv_bytes_per_token);
  };
  out.kv_most = std::min(options.kv_bytes, times(kv(context), static_cast<std::size_t>(options.max_running)));
  out.kv_least = std::min(out.kv_most, kv(std::min(context, kUsefulContext)));
  return out;
}

}  // namespace glia::engine
