#include "api/rehearsal/faulty_sink.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>

namespace glia::api {
namespace {

constexpr std::int64_t kMs = 1'000'000;

/// What arrived, and when.
class Recorder final : public tasks::RunSink {
 public:
  explicit Recorder(const Clock& clock) : clock_(clock) {}
  void started(const tasks::RunInfo&) override { add("started"); }
  void text(std::string_view piece) override { add("text " + std::string(piece)); }
  void finished(const tasks::TextResult& result) override {
    last = result;
    add("finished");
  }
  void failed(const Error& error) override { add("failed " + std::string(error_name(error.code()))); }
  void encoded(const tasks::EncodingResult&) override { add("encoded"); }
  void cancelled(const tasks::RunResult&) override { add("cancelled"); }

  std::string wait_for(std::size_t events) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return count_ >= events; });
    return log_;
  }
  std::string log() { return wait_for(0); }
  std::vector<std::int64_t> times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }
  tasks::TextResult last;

 private:
  void add(const std::string& what) {
    const std::lock_guard lock(mutex_);
    log_ += what + "; ";
    times_.push_back(clock_.steady_ns());
    count_++;
    changed_.notify_all();
  }
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string log_;
  std::vector<std::int64_t> times_;
  std::size_t count_ = 0;
};

class CountedRun final : public tasks::Run {
 public:
  void cancel() override { cancels++; }
  std::atomic<int> cancels{0};
};

class SlowRunTest : public testing::Test {
 protected:
  Fault slow(std::int64_t first, std::int64_t between) {
    return {FaultKind::slow, ErrorCode::internal, first, between, 0};
  }
  SystemClock clock;
  std::shared_ptr<Pacer> pacer = std::make_shared<Pacer>(clock);
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>(clock);
};

TEST_F(SlowRunTest, HoldsBackTheFirstAndEachNextPieceInOrder) {
  const std::int64_t start = clock.steady_ns();
  const auto run = slow_run(slow(60, 30), pacer, recorder);
  run.sink->started({});
  for (const char* piece : {"a", "b", "c"}) run.sink->text(piece);
  tasks::TextResult result;
  result.first_token_ms = 1;
  run.sink->finished(result);
  EXPECT_EQ(recorder->wait_for(5), "started; text a; text b; text c; finished; ");
  const auto times = recorder->times();
  EXPECT_GE(times[1] - start, 60 * kMs);
  EXPECT_GE(times[2] - start, 90 * kMs);
  EXPECT_GE(times[3] - start, 120 * kMs);
  EXPECT_GE(recorder->last.first_token_ms, 60);
  EXPECT_GE(recorder->last.total_ms, 120);
}

TEST_F(SlowRunTest, ACancelLetsGoWhatIsHeldBack) {
  const auto run = slow_run(slow(60'000, 60'000), pacer, recorder);
  const auto inner = std::make_shared<CountedRun>();
  const auto outer = run.wrap(inner);
  run.sink->started({});
  run.sink->text("a");
  outer->cancel();
  EXPECT_EQ(inner->cancels, 1);
  run.sink->cancelled({});
  EXPECT_EQ(recorder->wait_for(3), "started; text a; cancelled; ");
}

TEST_F(SlowRunTest, TheEndOfTheServerLetsGoEverything) {
  const auto run = slow_run(slow(60'000, 0), pacer, recorder);
  run.sink->started({});
  pacer->close();
  EXPECT_EQ(recorder->log(), "started; ");
  run.sink->failed(Error(ErrorCode::aborted));
  EXPECT_EQ(recorder->log(), "started; failed aborted; ") << "at once, on the caller's thread";
}

TEST_F(SlowRunTest, ThePacersThreadMayBeTheLastToHoldAnAnswer) {
  for (int i = 0; i < 50; i++) {
    auto run = slow_run(slow(1, 0), pacer, std::make_shared<Recorder>(clock));
    run.sink->started({});
    run.sink->finished({});
    run = {};
  }
  pacer->close();
}

TEST(EmptyRun, AsksForOneTokenAndSaysNothing) {
  SystemClock clock;
  const auto recorder = std::make_shared<Recorder>(clock);
  for (const auto& [given, wanted] : std::vector<std::pair<const char*, const char*>>{
           {R"({})", R"({"max_tokens":1})"},
           {R"({"max_tokens":50})", R"({"max_tokens":1})"},
           {R"({"max_completion_tokens":50,"max_tokens":9})", R"({"max_completion_tokens":1,"max_tokens":9})"},
           {R"({"max_tokens":-3})", R"({"max_tokens":-3})"},
           {R"({"max_tokens":"x"})", R"({"max_tokens":"x"})"}}) {
    json::object inputs = parse_json(given).as_object();
    empty_run(true, inputs, recorder);
    EXPECT_EQ(json::value(inputs), parse_json(wanted)) << given;
  }
  json::object inputs;
  const auto run = empty_run(true, inputs, recorder);
  run.sink->started({});
  run.sink->text("word");
  tasks::TextResult result;
  result.text = "word";
  result.finish_reason = "length";
  result.usage.completion_tokens = 1;
  run.sink->finished(result);
  EXPECT_EQ(recorder->log(), "started; finished; ");
  EXPECT_EQ(recorder->last.text, "");
  EXPECT_EQ(recorder->last.finish_reason, "stop");
  EXPECT_EQ(recorder->last.usage.completion_tokens, 1);
}

}  // namespace
}  // namespace glia::api
