// One generation on its way through the engine: its tokens, its pages, and how tokens become text for its sink.
// Thread rule: built by the caller of generate(), then the scheduler thread's alone; CancelFlag is for everybody.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_pages.h"
#include "engine/loader.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"
#include "engine/speculation.h"
#include "engine/stop_matcher.h"

namespace glia::engine {

/// Throws what ChatModel::generate documents for a request that cannot run.
void check_request(const GenerateRequest& request, std::int32_t vocab, std::int32_t context);

/// The caller's handle. Holds nothing else, so that keeping it keeps no model.
class CancelFlag final : public Generation {
 public:
  void cancel() override { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_{false};
};

class Sequence {
 public:
  /// `seed`: used when the request brings none. `guesses`: whether guess() will be asked. Allocates everything that the
  /// token loop needs.
  Sequence(GenerateRequest&& request, std::shared_ptr<GenerationSink> sink, const LoadedModel& model,
           std::uint64_t seed, bool guesses, std::int64_t now_ns);

  /// Draws the next token from logits ([vocab], overwritten) and gives the sink what became certain. The reason when
  /// that was the last one. Errors: whatever sampler, decoder or sink throw.
  std::optional<FinishReason> advance(std::span<float> logits, TokenWeights& weights, const LoadedModel& model);

  /// How it may go on, one token less than it may still have at most; until the next token, draft() has it.
  PromptLookup::Guess guess();
  std::span<const std::int32_t> draft() const { return draft_; }
  const PromptLookup& lookup() const { return *lookup_; }
  /// Of the last guess `tried` tokens went through the model, the first `right` of which were what it said.
  void learn(std::int32_t tried, std::int32_t right);

  GenerateResult result(FinishReason reason, std::int64_t now_ns) const;

  const std::string& account() const { return account_; }
  PrefixCache prefix_cache() const { return prefix_cache_; }
  std::int32_t prompt_tokens() const { return prompt_tokens_; }
  /// Tokens that it may still have.
  std::int32_t tokens_left() const { return max_tokens_ - answer_tokens(); }
  std::int32_t answer_tokens() const { return static_cast<std::int32_t>(tokens_.size()) - prompt_tokens_; }
  /// Prompt and answer so far.
  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::span<const std::int32_t> prompt() const { return tokens().first(static_cast<std::size_t>(prompt_tokens_)); }
  const std::shared_ptr<GenerationSink>& sink() const { return sink_; }
  const std::shared_ptr<CancelFlag>& handle() const { return handle_; }

  KvPages::Lease lease;
  std::int64_t submitted_ns = 0;
  std::int32_t cached_tokens = 0;  ///< of the prompt, found computed when it first entered
  std::int32_t reached = 0;        ///< positions that were ever computed for it
  std::int32_t entered = 0;        ///< times; more than one: it was set back
  std::int64_t scheduled_ns = -1;  ///< first step it took part in; -1: none yet
  std::int64_t first_token_ns = -1;

 private:
  void emit(bool last);

  std::shared_ptr<GenerationSink> sink_;
  std::shared_ptr<CancelFlag> handle_ = std::make_shared<CancelFlag>();
  std::string account_;
  std::vector<std::int32_t> tokens_;
  std::int32_t prompt_tokens_;
  std::int32_t max_tokens_;
  PrefixCache prefix_cache_;
  bool ignore_end_tokens_;
  Sampler sampler_;
  std::optional<PromptLookup> lookup_;
  PromptLookup::Guess guess_;
  std::vector<std::int32_t> draft_;
  std::unique_ptr<PieceDecoder> decoder_;
  StopMatcher stops_;
  std::string piece_;     // certain, not yet with the sink
  std::size_t reported_;  // tokens_ up to here were with the sink
};

}  // namespace glia::engine
