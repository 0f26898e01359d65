// Runs that wait, are refused, are cancelled or break, and many at once.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tasks/local_runner_fixture.h"

namespace glia::tasks {
namespace {

using fake::answer;
using fake::Events;
using fake::kHiTokens;
using fake::kId;
using fake::LocalRunnerTest;
using fake::Recorder;

TEST_F(LocalRunnerTest, AFullQueueGivesTheReservationBack) {
  model_->refuse.emplace(ErrorCode::out_of_capacity);
  run(R"({"prompt":"hi"})");
  EXPECT_EQ(sink_->ended(), Events{"failed " + std::string(default_text(ErrorCode::out_of_capacity))});
  EXPECT_EQ(meter_.released, 1);
  EXPECT_TRUE(meter_.reserved.empty());
}

TEST_F(LocalRunnerTest, RejectIfBusyDoesNotWait) {
  reject_if_busy_ = true;
  engine::ModelStatus status;
  status.path = dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf";
  status.running = 64;
  engine_.statuses = {status};
  EXPECT_EQ(refusal(R"({"prompt":"hi"})"), "out_of_capacity: ");
  status.running = 63;
  engine_.statuses = {status};
  EXPECT_EQ(refusal(R"({"prompt":"hi"})"), "accepted");
  auto g = model_->next();
  answer(*g);
}

TEST_F(LocalRunnerTest, TooManyWaitingRunsAreRefusedNotKept) {
  make({.max_running = 1, .max_queued = 2});
  engine_.hold(true);
  run(R"({"prompt":"hi"})");
  engine_.wait_for_acquire();
  std::vector<std::shared_ptr<Recorder>> others;
  for (int i = 0; i < 2; ++i) {
    others.push_back(sink_ = std::make_shared<Recorder>());
    run(R"({"prompt":"hi"})");
  }
  EXPECT_EQ(refusal(R"({"prompt":"hi"})"), "out_of_capacity: 3 requests are ahead");
  engine_.hold(false);
  for (int i = 0; i < 3; ++i) {
    auto g = model_->next();
    answer(*g);
  }
  for (const auto& o : others) EXPECT_EQ(o->ended().back(), "finished stop");
}

TEST_F(LocalRunnerTest, InputsThatWaitFillNoMoreThanTheirMemory) {
  make({.most_input_bytes = 100'000});
  const std::string large = R"({"prompt":")" + std::string(70'000, 'x') + R"("})";
  run(R"({"prompt":"hi","max_tokens":4})");
  auto first = model_->next();
  EXPECT_EQ(refusal(large), "out_of_capacity: the inputs that wait fill the memory for requests");
  answer(*first);
  sink_->ended();
  sink_ = std::make_shared<Recorder>();
  EXPECT_EQ(refusal(large), "accepted");  // too long for the window, which is another matter
  sink_->ended();
}

// A load, or a wait for memory, keeps no thread from the runs of models that are there.
TEST_F(LocalRunnerTest, RunsThatWaitForALoadHoldUpNobody) {
  make({.threads = 1, .loads = 1});
  engine_.hold(true);
  std::vector<std::shared_ptr<Recorder>> waiting;
  for (int i = 0; i < 5; ++i) {
    waiting.push_back(sink_ = std::make_shared<Recorder>());
    run(R"({"prompt":"hi"})");
  }
  engine_.wait_for_acquire();
  while (engine_.finds < 5) std::this_thread::yield();  // all five have been told to wait
  engine_.present = true;
  sink_ = std::make_shared<Recorder>();
  run(R"({"prompt":"now","max_tokens":77})");
  auto now = model_->next();
  EXPECT_EQ(now->request().max_tokens, 77);
  answer(*now);
  sink_->ended();
  EXPECT_EQ(engine_.acquired().size(), 1U) << "one load for all";
  engine_.hold(false);
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    auto g = model_->next();
    answer(*g);
  }
  for (const auto& w : waiting) EXPECT_EQ(w->ended().back(), "finished stop");
}

TEST_F(LocalRunnerTest, AllThatWaitForALoadHearThatItFailed) {
  engine_.hold(true);
  engine_.broken = Error(ErrorCode::model_unavailable, "no");
  std::vector<std::shared_ptr<Recorder>> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(sink_ = std::make_shared<Recorder>());
    run(R"({"prompt":"hi"})");
  }
  engine_.wait_for_acquire();
  engine_.hold(false);
  for (const auto& w : waiting) EXPECT_TRUE(w->ended().back().starts_with("failed")) << w->ended().back();
}

TEST_F(LocalRunnerTest, CancelWhileLoadingUsesNothing) {
  engine_.hold(true);
  const auto handle = run(R"({"prompt":"hi"})");
  engine_.wait_for_acquire();
  handle->cancel();
  engine_.hold(false);
  EXPECT_EQ(sink_->ended(), Events{"cancelled"});
  EXPECT_TRUE(meter_.usages.empty());
}

TEST_F(LocalRunnerTest, CancelInTheEnginesQueueGivesTheReservationBack) {
  const auto handle = run(R"({"prompt":"hi"})");
  const auto g = model_->next();
  handle->cancel();
  while (!g->cancelled()) std::this_thread::yield();
  g->drop();
  EXPECT_EQ(sink_->ended(), Events{"cancelled"});
  EXPECT_EQ(meter_.released, 1);
  EXPECT_TRUE(meter_.usages.empty());
}

TEST_F(LocalRunnerTest, CancelWhileGeneratingChargesWhatWasUsed) {
  const auto handle = run(R"({"prompt":"hi"})");
  const auto g = model_->next();
  g->say("abc");
  handle->cancel();
  while (!g->cancelled()) std::this_thread::yield();
  g->finish(engine::FinishReason::cancelled);
  EXPECT_EQ(sink_->ended().back(), "cancelled");
  EXPECT_EQ(meter_.usages.at(0).completion_tokens, 3);
  EXPECT_DOUBLE_EQ(sink_->result().neurons, (kHiTokens * 13778 + 3 * 26128) / 1e6);
  EXPECT_DOUBLE_EQ(meter_.total, sink_->result().neurons);
  handle->cancel();  // after the end: nothing
}

TEST_F(LocalRunnerTest, ASinkThatOnlyKnowsFailedHearsAborted) {
  struct Plain final : RunSink {
    void started(const RunInfo&) override {}
    void text(std::string_view) override {}
    void finished(const TextResult&) override {}
    void encoded(const EncodingResult&) override {}
    void failed(const Error& error) override { code = error.code(); }
    std::optional<ErrorCode> code;
  } plain;
  plain.cancelled({});
  EXPECT_EQ(plain.code, ErrorCode::aborted);
}

TEST_F(LocalRunnerTest, AModelThatBreaksMidwayIsChargedForWhatItGave) {
  run(R"({"prompt":"hi"})");
  const auto g = model_->next();
  g->say("abc");
  g->fail(Error(ErrorCode::internal));
  EXPECT_EQ(sink_->ended().back(), "failed Internal server error");
  EXPECT_EQ(meter_.usages.at(0).prompt_tokens, kHiTokens);
  EXPECT_EQ(meter_.usages.at(0).completion_tokens, 3);
  sink_ = std::make_shared<Recorder>();
  run(R"({"prompt":"hi"})");
  model_->next()->fail(Error(ErrorCode::internal));
  EXPECT_EQ(sink_->ended(), Events{"failed Internal server error"});
  EXPECT_EQ(meter_.released, 1) << "nothing came: nothing is charged";
}

TEST_F(LocalRunnerTest, AChargeThatIsLostFailsTheRun) {
  meter_.lost.emplace(ErrorCode::internal, "disk full");
  run(R"({"prompt":"hi"})");
  const auto g = model_->next();
  g->say("abc");
  g->finish(engine::FinishReason::stop);
  EXPECT_EQ(sink_->ended().back(), "failed Internal server error: disk full");
}

TEST_F(LocalRunnerTest, TheDestructorEndsWhatRuns) {
  const auto handle = run(R"({"prompt":"hi"})");
  const auto g = model_->next();
  std::thread scheduler([&] {
    while (!g->cancelled()) std::this_thread::yield();
    g->finish(engine::FinishReason::cancelled);
  });
  runner_.reset();
  EXPECT_EQ(sink_->events().back(), "cancelled");
  scheduler.join();
  handle->cancel();  // the handle may outlive the runner
}

TEST_F(LocalRunnerTest, ManyRunsAtOnceEachEndOnce) {
  model_->on_generate = [](fake::Generation& g) {
    g.say("ok");
    g.finish(engine::FinishReason::stop);
  };
  constexpr int kThreads = 16;
  constexpr int kEach = 25;
  std::atomic<int> finished{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto sink = std::make_shared<Recorder>();
        RunRequest request{std::to_string(t) + "." + std::to_string(i), "local", std::string(kId),
                           parse_json(R"({"prompt":"hi"})").as_object()};
        const auto handle = runner_->run(std::move(request), sink);
        if (i % 5 == 0) handle->cancel();
        const auto end = sink->ended().back();
        if (end == "finished stop" || end == "cancelled") ++finished;
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(finished, kThreads * kEach);
  EXPECT_TRUE(meter_.reserved.empty());
}

}  // namespace
}  // namespace glia::tasks
