#include "tasks/local_run.h"

#include <utility>

#include "base/log.h"

namespace glia::tasks {

LocalRun::LocalRun(Job job, Meter& meter, const Clock& clock, std::shared_ptr<RunSink> sink,
                   std::function<void()> on_end)
    : job_(std::move(job)),
      meter_(meter),
      clock_(clock),
      sink_(std::move(sink)),
      on_end_(std::move(on_end)),
      run_ns_(clock.steady_ns()) {}

void LocalRun::prepare(const LoadedModel& model) {
  guarded([&] {
    throw_if_cancelled();
    prepare_or_throw(model);
  });
}

void LocalRun::guarded(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    fail(e);
  } catch (const std::exception& e) {
    log::error("a run broke", {{"model", job_.bill.model}, {"reason", e.what()}});
    fail(Error(ErrorCode::internal));
  }
}

double LocalRun::neurons(const TokenUsage& usage) const {
  const auto& price = job_.entry->price;
  return price ? price->neurons(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) : 0;
}

void LocalRun::reserve(const TokenUsage& usage) {
  meter_.reserve(job_.bill, neurons(usage));
  reserved_ = true;
}

bool LocalRun::is_cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void LocalRun::throw_if_cancelled() {
  if (is_cancelled()) throw Error(ErrorCode::aborted);
}

void LocalRun::cancel() {
  std::shared_ptr<engine::Generation> generation;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    generation = generation_;
  }
  if (generation) generation->cancel();
}

void LocalRun::running(const std::shared_ptr<engine::Generation>& generation) {
  bool cancelled = false;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    cancelled = cancelled_;
    generation_ = generation;
  }
  if (cancelled) generation->cancel();
}

void LocalRun::start() {
  if (std::exchange(started_, true)) return;
  sink_->started(job_.info);
}

void LocalRun::settle(const RunResult& result, std::function<void(const Error* lost)> tell) {
  meter_.settle(
      job_.bill, result.usage, result.neurons,
      [run = shared_from_this(), tell = std::move(tell)](const Error* lost) { run->end([&] { tell(lost); }); });
}

void LocalRun::fail(const Error& error) {
  if (reserved_) meter_.release(job_.bill);
  end([&] {
    if (error.code() == ErrorCode::aborted && is_cancelled()) {
      RunResult nothing;
      nothing.total_ms = ms_since_run();
      sink_->cancelled(nothing);
    } else {
      sink_->failed(error);
    }
  });
}

void LocalRun::end(const std::function<void()>& tell) {
  job_.place.reset();  // who hears the end finds the place free
  try {
    tell();
  } catch (const std::exception& e) {
    log::error("a run's receiver failed", {{"model", job_.bill.model}, {"reason", e.what()}});
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    generation_.reset();  // it may hold this run in turn
  }
  on_end_();
}

}  // namespace glia::tasks
