#include "api/rehearsal/faulty_sink.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <mutex>

namespace glia::api {
namespace {

class SlowSink final : public tasks::RunSink, public std::enable_shared_from_this<SlowSink> {
 public:
  SlowSink(const Fault& fault, std::shared_ptr<Pacer> pacer, std::shared_ptr<tasks::RunSink> sink)
      : pacer_(std::move(pacer)),
        sink_(std::move(sink)),
        start_ns_(pacer_->now_ns()),
        between_ns_(fault.between_tokens_ms * kMs),
        next_ns_(start_ns_ + fault.first_token_ms * kMs) {}

  void started(const tasks::RunInfo& info) override {
    later(false, [this, info] {
      first_ns_ = pacer_->now_ns();
      sink_->started(info);
    });
  }
  void text(std::string_view piece) override {
    later(true, [this, piece = std::string(piece)] { sink_->text(piece); });
  }
  void finished(const tasks::TextResult& result) override {
    later(false, [this, result]() mutable { sink_->finished(stamped(std::move(result))); });
  }
  void encoded(const tasks::EncodingResult& result) override {
    later(false, [this, result]() mutable { sink_->encoded(stamped(std::move(result))); });
  }
  void failed(const Error& error) override {
    later(false, [this, error] { sink_->failed(error); });
  }
  void cancelled(const tasks::RunResult& partial) override {
    hurry();
    later(false, [this, partial] { sink_->cancelled(partial); });
  }

  /// Nobody waits any more: what is held back goes out at once.
  void hurry() {
    {
      const std::lock_guard lock(mutex_);
      hurried_ = true;
    }
    pacer_->at(0, [self = shared_from_this()] { self->deliver(); });
  }

 private:
  static constexpr std::int64_t kMs = 1'000'000;

  struct Event {
    std::int64_t due_ns;
    std::function<void()> tell;
  };

  template <class Result>
  Result stamped(Result result) const {
    if (result.first_token_ms > 0) result.first_token_ms = static_cast<double>(first_ns_ - start_ns_) / kMs;
    result.total_ms = static_cast<double>(pacer_->now_ns() - start_ns_) / kMs;
    return result;
  }

  void later(bool is_piece, std::function<void()> tell) {
    std::int64_t due = 0;
    {
      const std::lock_guard lock(mutex_);
      due = std::max(pacer_->now_ns(), next_ns_);
      next_ns_ = due + (is_piece ? between_ns_ : 0);
      events_.push_back({due, std::move(tell)});
    }
    pacer_->at(due, [self = shared_from_this()] { self->deliver(); });
  }

  /// Tells what is due. One thread at a time; who comes meanwhile leaves it to that one.
  void deliver() {
    std::unique_lock lock(mutex_);
    if (delivering_) return;
    delivering_ = true;
    while (!events_.empty() && (hurried_ || pacer_->closed() || events_.front().due_ns <= pacer_->now_ns())) {
      const Event event = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      event.tell();
      lock.lock();
    }
    delivering_ = false;
  }

  const std::shared_ptr<Pacer> pacer_;
  const std::shared_ptr<tasks::RunSink> sink_;
  const std::int64_t start_ns_;
  const std::int64_t between_ns_;
  std::int64_t first_ns_ = 0;  ///< written and read while delivering
  std::mutex mutex_;
  std::int64_t next_ns_;
  std::deque<Event> events_;
  bool hurried_ = false;
  bool delivering_ = false;
};

class HurriedRun final : public tasks::Run {
 public:
  HurriedRun(std::shared_ptr<tasks::Run> run, std::weak_ptr<SlowSink> sink)
      : run_(std::move(run)), sink_(std::move(sink)) {}
  void cancel() override {
    run_->cancel();
    if (const auto sink = sink_.lock()) sink->hurry();
  }

 private:
  const std::shared_ptr<tasks::Run> run_;
  const std::weak_ptr<SlowSink> sink_;
};

class EmptySink final : public tasks::RunSink {
 public:
  explicit EmptySink(std::shared_ptr<tasks::RunSink> sink) : sink_(std::move(sink)) {}
  void started(const tasks::RunInfo& info) override { sink_->started(info); }
  void text(std::string_view) override {}
  void finished(const tasks::TextResult& result) override {
    tasks::TextResult empty = result;
    empty.text.clear();
    empty.finish_reason = "stop";
    sink_->finished(empty);
  }
  void encoded(const tasks::EncodingResult& result) override {
    tasks::EncodingResult empty = result;
    std::visit([](auto& answer) { answer = {}; }, empty.answer);
    sink_->encoded(empty);
  }
  void failed(const Error& error) override { sink_->failed(error); }
  void cancelled(const tasks::RunResult& partial) override { sink_->cancelled(partial); }

 private:
  const std::shared_ptr<tasks::RunSink> sink_;
};

}  // namespace

FaultyRun slow_run(const Fault& fault, std::shared_ptr<Pacer> pacer, std::shared_ptr<tasks::RunSink> sink) {
  auto slow = std::make_shared<SlowSink>(fault, std::move(pacer), std::move(sink));
  return {slow, [weak = std::weak_ptr(slow)](std::shared_ptr<tasks::Run> run) {
            return std::make_shared<HurriedRun>(std::move(run), weak);
          }};
}

FaultyRun empty_run(bool generates, json::object& inputs, std::shared_ptr<tasks::RunSink> sink) {
  const auto shorten = [&](std::string_view field) {
    auto* value = inputs.if_contains(field);
    if (value != nullptr && value->is_int64() && value->get_int64() >= 1) *value = 1;  // else it is refused as it is
    return value != nullptr;
  };
  if (generates && !shorten("max_completion_tokens") && !shorten("max_tokens")) inputs["max_tokens"] = 1;
  return {std::make_shared<EmptySink>(std::move(sink)), [](std::shared_ptr<tasks::Run> run) { return run; }};
}

}  // namespace glia::api
