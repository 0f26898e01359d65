// A model in memory at work: takes requests in, steps its batch, hands tokens to sinks.
//
// tidy(): inbox → schedule, cancelled ones out. step(): guess, plan, one forward for all planned rows, then a token for
// every chunk that samples, and one more for every guess that was right: each is drawn from its own row's logits as if
// there were no guesses, and the first that differs from its guess is the chunk's last. So guesses change no token.
// What one generation throws ends that generation; what forward throws ends those that were in the batch.
// Ownership: owns the loaded model and its KV pages; shared by the table of models, callers and, while it has work, the
// step thread.
// Thread rule: ChatModel and status() from any thread, Steppable as StepThread says.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/figures.h"
#include "engine/kv_pages.h"
#include "engine/loader.h"
#include "engine/resident.h"
#include "engine/sampler.h"
#include "engine/schedule.h"
#include "engine/sequence.h"
#include "engine/speculation.h"
#include "engine/step_cost.h"
#include "engine/step_thread.h"

namespace glia::engine {

class ServedModel final : public ChatModel,
                          public Resident,
                          private Admission,
                          public std::enable_shared_from_this<ServedModel> {
 public:
  /// Creates the KV pages: as many as kv_bytes holds, at most what max_running full contexts need.
  /// Errors: out_of_capacity when kv_bytes does not hold one page.
  ServedModel(LoadedModel loaded, std::filesystem::path path, const EngineOptions& options, const Clock& clock,
              std::shared_ptr<StepThread> thread);

  const std::string& name() const override { return loaded_.name; }
  std::int32_t context() const override { return context_; }
  std::size_t bytes() const override { return loaded_.model->info().weight_bytes + cache_->bytes(); }
  const text::Tokenizer& tokenizer() const override { return *loaded_.tokenizer; }
  const text::ChatTemplate* chat_template() const override { return loaded_.chat_template.get(); }
  std::shared_ptr<Generation> generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) override;

  bool tidy(std::vector<Ending>& endings) override;
  bool step(std::vector<Ending>& endings) override;
  void end_all(const Error& error, std::vector<Ending>& endings) override;
  bool has_inbox() const override { return !inbox_.empty(); }

  ModelStatus status() const override;
  void hold(MemoryBudget::Reservation reservation, std::size_t scratch_bytes) override;
  std::int64_t last_active_ns() const override { return last_active_ns_.load(std::memory_order_relaxed); }

 private:
  /// How one chunk's sampling went.
  struct Outcome {
    std::int32_t sampled = 0;  // tokens
    std::optional<FinishReason> end;
    std::optional<Error> error;
  };

  std::optional<std::int32_t> enter(Slot slot) override;
  bool extend(Slot slot, std::int32_t positions) override;
  void leave(Slot slot) override;
  Sequence& at(Slot slot) { return *sequences_[static_cast<std::size_t>(slot)]; }
  void take_inbox();
  void drop_cancelled(std::vector<Ending>& endings);
  void offer_drafts(std::int32_t decodes);
  StepLimits step_limits(std::int32_t decodes) const;
  void build_batch(const Plan& plan);
  bool forward(const Plan& plan, std::vector<Ending>& endings);
  void run(const Plan& plan, std::vector<Ending>& endings);
  void sample(const Plan& plan);
  Outcome sample_chunk(const Chunk& chunk, float* logits);
  void settle(const Plan& plan, std::vector<Ending>& endings);
  void count(const Plan& plan, double spent_ms);
  void finish(Slot slot, FinishReason reason, std::vector<Ending>& endings);
  void fail(Slot slot, const Error& error, std::vector<Ending>& endings);
  void release(Slot slot);
  template <typename Work>
  bool guarded(std::vector<Ending>& endings, Work work);
  int retry_after_s() const;

  std::optional<MemoryBudget::Reservation> reservation_;  // first: given back last
  LoadedModel loaded_;
  const std::filesystem::path path_;
  const Clock& clock_;
  const std::shared_ptr<StepThread> thread_;
  const std::int32_t max_live_;
  const ScheduleLimits limits_;
  const bool share_;  // prefixes
  const bool speculates_;
  const std::int32_t most_logit_rows_;
  KvPages kv_;  // the step thread's own, but for what never changes
  std::unique_ptr<kernels::KvCache> cache_;
  std::int32_t context_ = 0;
  std::atomic<std::int64_t> last_active_ns_{0};

  // Under thread_->mutex().
  std::vector<std::unique_ptr<Sequence>> inbox_;
  std::int32_t live_ = 0;  // accepted and not ended
  std::uint64_t fresh_seeds_ = 0;
  double mean_total_s_ = 0;
  ModelStatus status_;
  RecentRate rate_;

  // The step thread's own.
  Schedule schedule_;
  TokenWeights weights_;
  std::vector<std::unique_ptr<Sequence>> taken_;
  std::vector<std::unique_ptr<Sequence>> sequences_;  // [slot]
  std::vector<std::int32_t> tokens_, positions_, row_sequences_, logit_rows_;
  std::vector<std::span<const std::int32_t>> page_tables_;
  std::unique_ptr<float[]> logits_;  // [most_logit_rows_, vocab]
  StepCost cost_;
  std::vector<Candidate> candidates_;
  std::vector<Outcome> outcomes_;       // [chunks]
  std::vector<std::int32_t> accepted_;  // [chunks]
  std::int64_t set_back_ = 0;           // since the last step

  const std::uint64_t entropy_ = (std::uint64_t{std::random_device{}()} << 32U) | std::random_device{}();
};

}  // namespace glia::engine
