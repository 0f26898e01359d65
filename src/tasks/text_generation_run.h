// One text generation from queue to durable charge. States: preparing (a work thread) → generating (the engine) →
// settling (the meter) → ended; cancel() is heard in each. Ownership: shared by the caller's handle and whoever works
// on it at the moment; `on_end` is called last, once. Thread rule: cancel() from any thread; the rest is called in
// order by work thread, engine and meter.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "tasks/runner.h"
#include "tasks/text_generation_input.h"
#include "tasks/weights.h"

namespace glia::tasks {

struct TextGenerationJob {
  TextGenerationInput input;
  const catalog::ModelEntry* entry = nullptr;
  ResolvedWeights weights;
  Bill bill;
  RunInfo info;
  engine::PrefixCache prefix_cache = engine::PrefixCache::on;
  std::shared_ptr<void> place;  ///< held until the run has ended
};

class TextGenerationRun final : public Run,
                                public engine::GenerationSink,
                                public std::enable_shared_from_this<TextGenerationRun> {
 public:
  TextGenerationRun(TextGenerationJob job, Meter& meter, const Clock& clock, std::shared_ptr<RunSink> sink,
                    std::function<void()> on_end);

  const std::filesystem::path& weights() const { return job_.weights.path; }
  /// On a work thread: renders, tokenises, reserves and hands over to the engine.
  void prepare(const std::shared_ptr<engine::ChatModel>& model);
  /// Instead: there is no model.
  void refuse(const Error& error) { fail(error); }

  void cancel() override;
  void text(std::string_view piece, std::span<const std::int32_t> tokens) override;
  void done(const engine::GenerateResult& result) override;
  void failed(const Error& error) override;

 private:
  void prepare_or_throw(engine::ChatModel& model);
  void throw_if_cancelled();
  void start();
  /// Charges what was used, then tells the sink: `error` where the engine failed, else the result.
  void settle(TextResult result, std::optional<Error> error);
  /// Nothing was used.
  void fail(const Error& error);
  bool is_cancelled();
  void end(const std::function<void()>& tell);
  double ms_since_run(std::int64_t now_ns) const { return static_cast<double>(now_ns - run_ns_) / 1e6; }

  TextGenerationJob job_;
  Meter& meter_;
  const Clock& clock_;
  std::shared_ptr<RunSink> sink_;
  std::function<void()> on_end_;
  const std::int64_t run_ns_;  ///< steady clock

  bool started_ = false;
  bool reserved_ = false;
  std::int64_t generate_ns_ = 0;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t sampled_tokens_ = 0;
  std::string answer_;

  std::mutex mutex_;  ///< guards what follows
  bool cancelled_ = false;
  bool ended_ = false;
  std::shared_ptr<engine::Generation> generation_;
};

}  // namespace glia::tasks
