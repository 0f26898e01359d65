// An encoder in memory at work: takes requests in, steps batches of their texts, hands results to sinks.
//
// tidy(): inbox → queue, cancelled ones out. step(): the queue's next texts, one forward for all of them; what each
// gives lands in its request's result, and requests that are whole are told. What forward throws ends those in the
// batch; values that are no numbers end the request that they belong to. Ownership: owns the loaded model; shared by
// the table of models, callers and, while it has work, the step thread. Thread rule: TextEncoder and status() from any
// thread, Steppable as StepThread says.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/encode_queue.h"
#include "engine/figures.h"
#include "engine/loader.h"
#include "engine/resident.h"
#include "engine/sequence.h"
#include "engine/text_encoder.h"

namespace glia::engine {

class ServedEncoder final : public TextEncoder, public Resident, public std::enable_shared_from_this<ServedEncoder> {
 public:
  ServedEncoder(LoadedModel loaded, std::filesystem::path path, const EngineOptions& options, const Clock& clock,
                std::shared_ptr<StepThread> thread);

  const std::string& name() const override { return loaded_.name; }
  std::size_t bytes() const override { return loaded_.encoder->info().weight_bytes; }
  const TextEncoderInfo& info() const override { return info_; }
  const text::Tokenizer& tokenizer() const override { return *loaded_.tokenizer; }
  std::shared_ptr<Generation> encode(EncodeRequest request, std::shared_ptr<EncodeSink> sink) override;

  bool tidy(std::vector<Ending>& endings) override;
  bool step(std::vector<Ending>& endings) override;
  void end_all(const Error& error, std::vector<Ending>& endings) override;
  bool has_inbox() const override { return !inbox_.empty(); }

  ModelStatus status() const override;
  void hold(MemoryBudget::Reservation reservation, std::size_t scratch_bytes) override;
  std::int64_t last_active_ns() const override { return last_active_ns_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    EncodeRequest request;
    std::shared_ptr<EncodeSink> sink;
    std::shared_ptr<CancelFlag> handle = std::make_shared<CancelFlag>();
    std::int64_t submitted_ns = 0;
    std::int64_t scheduled_ns = -1;
    std::int64_t first_ns = -1;
    std::size_t left = 0;              // texts without a result
    std::vector<std::size_t> offsets;  // of each text's values in the result
    EncodeResult result;
  };

  void check(const EncodeRequest& request) const;
  std::unique_ptr<Job> make_job(EncodeRequest&& request, std::shared_ptr<EncodeSink>&& sink) const;
  void take_inbox();
  void drop_cancelled(std::vector<Ending>& endings);
  void run(std::span<const EncodeQueue::Item> items, std::vector<Ending>& endings);
  bool add_texts(std::span<const EncodeQueue::Item> items);
  void settle(std::span<const EncodeQueue::Item> items, std::vector<Ending>& endings);
  void finish(EncodeQueue::Job slot, bool cancelled, std::vector<Ending>& endings);
  void fail(EncodeQueue::Job slot, const Error& error, std::vector<Ending>& endings);
  void release(EncodeQueue::Job slot);
  template <typename Work>
  bool guarded(std::vector<Ending>& endings, Work work);
  int retry_after_s() const;
  Job& at(EncodeQueue::Job slot) { return *jobs_[static_cast<std::size_t>(slot)]; }

  std::optional<MemoryBudget::Reservation> reservation_;  // first: given back last
  LoadedModel loaded_;
  const Clock& clock_;
  const std::shared_ptr<StepThread> thread_;
  const std::int32_t max_live_;
  const std::int32_t batch_rows_;
  TextEncoderInfo info_;
  std::atomic<std::int64_t> last_active_ns_{0};

  // Under thread_->mutex().
  std::vector<std::unique_ptr<Job>> inbox_;
  std::int32_t live_ = 0;  // accepted and not ended
  double mean_total_s_ = 0;
  ModelStatus status_;
  RecentRate rate_;

  // The step thread's own.
  EncodeQueue queue_;
  std::vector<std::unique_ptr<Job>> taken_;
  std::vector<std::unique_ptr<Job>> jobs_;  // [slot], null where free
  std::vector<models::EncoderText> texts_;
  std::vector<std::int32_t> lengths_;
};

}  // namespace glia::engine
