// What a run on this machine's engine does whatever its task is: it waits for its model, can be cancelled, is charged
// once and ends once. States: preparing (a work thread) → computing (the engine) → settling (the meter) → ended;
// cancel() is heard in each.
// Ownership: shared by the caller's handle and whoever works on it at the moment; `on_end` is called last, once. Thread
// rule: cancel() from any thread; the rest is called in order by work thread, engine and meter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "tasks/loaded_model.h"
#include "tasks/runner.h"
#include "tasks/weights.h"

namespace glia::tasks {

/// A checked request, without its input.
struct Job {
  const catalog::ModelEntry* entry = nullptr;
  ResolvedWeights weights;
  Bill bill;
  RunInfo info;
  std::shared_ptr<void> place;  ///< held until the run has ended
};

class LocalRun : public Run, public std::enable_shared_from_this<LocalRun> {
 public:
  LocalRun(Job job, Meter& meter, const Clock& clock, std::shared_ptr<RunSink> sink, std::function<void()> on_end);

  virtual ModelKind kind() const = 0;
  const std::filesystem::path& weights() const { return job_.weights.path; }
  /// On a work thread: makes the model's input, reserves and hands over to the engine. `model` is of kind().
  void prepare(const LoadedModel& model);
  /// Instead: there is no model.
  void refuse(const Error& error) { fail(error); }

  void cancel() override;

 protected:
  virtual void prepare_or_throw(const LoadedModel& model) = 0;

  const Job& job() const { return job_; }
  const Clock& clock() const { return clock_; }
  RunSink& sink() { return *sink_; }
  void note(std::string message) { job_.info.messages.push_back(std::move(message)); }
  double ms_since_run(std::int64_t now_ns) const { return static_cast<double>(now_ns - run_ns_) / 1e6; }
  double ms_since_run() const { return ms_since_run(clock_.steady_ns()); }

  double neurons(const TokenUsage& usage) const;
  /// At most this will be used. Errors: the meter's.
  void reserve(const TokenUsage& usage);
  void throw_if_cancelled();
  /// Runs `work`; what it throws ends the run, and nothing was used.
  void guarded(const std::function<void()>& work);
  bool is_cancelled();
  /// What the engine gave when it took the work; it may have ended since.
  void running(const std::shared_ptr<engine::Generation>& generation);
  /// Tells the sink of the first result, once.
  void start();
  /// Charges what was used, then calls `tell` with why the charge could not be written, or null; the run has ended.
  void settle(const RunResult& result, std::function<void(const Error* lost)> tell);
  /// Nothing was used.
  void fail(const Error& error);

 private:
  void end(const std::function<void()>& tell);

  Job job_;
  Meter& meter_;
  const Clock& clock_;
  std::shared_ptr<RunSink> sink_;
  std::function<void()> on_end_;
  const std::int64_t run_ns_;  ///< steady clock
  bool started_ = false;
  bool reserved_ = false;

  std::mutex mutex_;  ///< guards what follows
  bool cancelled_ = false;
  bool ended_ = false;
  std::shared_ptr<engine::Generation> generation_;
};

}  // namespace glia::tasks
