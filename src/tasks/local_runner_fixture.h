// For tests: a local runner over the fake engine, a meter that keeps what it is told, and a sink that writes it down.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>

#include "tasks/fake_engine.h"
#include "tasks/local_runner.h"

namespace glia::tasks::fake {

inline constexpr std::string_view kId =
    "@cf/meta/llama-3.1-8b-instruct-fp8";  // 13778 / 26128 neurons per million tokens
// <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n
inline constexpr std::int64_t kHiTokens = 1 + 7 + 1 + 1 + 1 + 10;

/// Writes down what it is told.
class Recorder final : public RunSink {
 public:
  void started(const RunInfo& info) override {
    note("started " + info.weights + (info.stand_in ? "~" : ""));
    const std::lock_guard lock(mutex_);
    info_ = info;
  }
  void text(std::string_view piece) override { note("text " + std::string(piece)); }
  void finished(const TextResult& result) override {
    {
      const std::lock_guard lock(mutex_);
      result_ = result;
    }
    end("finished " + result.finish_reason, result);
  }
  void encoded(const EncodingResult& result) override {
    {
      const std::lock_guard lock(mutex_);
      encoded_ = result;
    }
    end("encoded", result);
  }
  void failed(const Error& error) override { end("failed " + error.message(), {}); }
  void cancelled(const RunResult& result) override { end("cancelled", result); }

  std::vector<std::string> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  /// Waits for the end; all events.
  std::vector<std::string> ended() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_; });
    return events_;
  }
  RunInfo info() {
    const std::lock_guard lock(mutex_);
    return info_;
  }
  EncodingResult encoding() {
    const std::lock_guard lock(mutex_);
    return encoded_;
  }
  TextResult result() {
    const std::lock_guard lock(mutex_);
    return result_;
  }

 private:
  void note(std::string event) {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(ended_) << event << " after the end";
    events_.push_back(std::move(event));
  }
  void end(std::string event, const RunResult& result) {
    note(std::move(event));
    const std::lock_guard lock(mutex_);
    static_cast<RunResult&>(result_) = result;
    ended_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  RunInfo info_;
  TextResult result_;
  EncodingResult encoded_;
  bool ended_ = false;
};

/// Charges are durable at once, or when the test says so.
class TestMeter final : public Meter {
 public:
  void reserve(const Bill& bill, double estimated) override {
    const std::lock_guard lock(mutex);
    if (refuse) throw Error(*refuse);
    reserved[bill.request_id] = estimated;
  }
  void release(const Bill& bill) override {
    const std::lock_guard lock(mutex);
    EXPECT_EQ(reserved.erase(bill.request_id), 1U);
    ++released;
  }
  void settle(const Bill& bill, const TokenUsage& usage, double neurons, Settled settled) override {
    {
      const std::lock_guard lock(mutex);
      EXPECT_EQ(reserved.erase(bill.request_id), 1U);
      bills.push_back(bill);
      usages.push_back(usage);
      total += neurons;
      if (hold) {
        held = std::move(settled);
        return;
      }
    }
    settled(lost ? &*lost : nullptr);
  }

  std::mutex mutex;
  std::map<std::string, double> reserved;
  std::vector<Bill> bills;
  std::vector<TokenUsage> usages;
  double total = 0;
  int released = 0;
  bool hold = false;
  Settled held;
  std::optional<Error> refuse, lost;
};

class LocalRunnerTest : public testing::Test {
 protected:
  LocalRunnerTest() {
    std::ofstream(dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf") << "x";
    make();
  }
  ~LocalRunnerTest() override {
    runner_.reset();
    std::filesystem::remove_all(dir_);
  }
  void make(LocalRunnerOptions options = {}) {
    runner_ = std::make_unique<LocalRunner>(catalog_, engine_, meter_, clock_, weights_, options);
  }
  std::shared_ptr<tasks::Run> run(std::string_view inputs, std::string_view model = kId) {
    RunRequest request;
    request.request_id = "req-" + std::to_string(++requests_);
    request.account = "local";
    request.model = model;
    request.inputs = parse_json(inputs).as_object();
    request.reject_if_busy = reject_if_busy_;
    return runner_->run(std::move(request), sink_);
  }
  std::string refusal(std::string_view inputs, std::string_view model = kId) {
    try {
      run(inputs, model);
    } catch (const Error& e) {
      return std::string(error_name(e.code())) + ": " + e.detail();
    }
    return "accepted";
  }

  static std::filesystem::path folder_of_its_own() {
    std::string name = (std::filesystem::temp_directory_path() / "glia-tasks-XXXXXX").string();
    return mkdtemp(name.data());
  }

  const std::filesystem::path dir_ = folder_of_its_own();
  const catalog::Catalog catalog_ = catalog::Catalog::load();
  std::shared_ptr<Model> model_ = std::make_shared<Model>();
  Engine engine_{model_};
  TestMeter meter_;
  ManualClock clock_{1'795'521'600'000};
  Weights weights_{catalog_, {.models_dir = dir_}};
  std::shared_ptr<Recorder> sink_ = std::make_shared<Recorder>();
  std::unique_ptr<LocalRunner> runner_;
  std::atomic<int> requests_ = 0;
  bool reject_if_busy_ = false;
};

/// Every generation that was handed over must end: the runner's destructor waits for it.
inline void answer(Generation& g) {
  g.say("x");
  g.finish(engine::FinishReason::stop);
}

using Events = std::vector<std::string>;

}  // namespace glia::tasks::fake
