#include "tasks/local_runner.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "tasks/fake_engine.h"

namespace glia::tasks {
namespace {

constexpr std::string_view kId = "@cf/meta/llama-3.1-8b-instruct-fp8";  // 13778 / 26128 neurons per million tokens
// <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n
constexpr std::int64_t kHiTokens = 1 + 7 + 1 + 1 + 1 + 10;

/// Writes down what it is told.
class Recorder final : public RunSink {
 public:
  void started(const RunInfo& info) override {
    note("started " + info.weights + (info.stand_in ? "~" : ""));
    const std::lock_guard lock(mutex_);
    info_ = info;
  }
  void text(std::string_view piece) override { note("text " + std::string(piece)); }
  void finished(const TextResult& result) override { end("finished " + result.finish_reason, result); }
  void failed(const Error& error) override { end("failed " + error.message(), {}); }
  void cancelled(const TextResult& result) override { end("cancelled", result); }

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
  void end(std::string event, const TextResult& result) {
    note(std::move(event));
    const std::lock_guard lock(mutex_);
    result_ = result;
    ended_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  RunInfo info_;
  TextResult result_;
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
  std::shared_ptr<fake::Model> model_ = std::make_shared<fake::Model>();
  fake::Engine engine_{model_};
  TestMeter meter_;
  ManualClock clock_{1'795'521'600'000};
  Weights weights_{catalog_, {.models_dir = dir_}};
  std::shared_ptr<Recorder> sink_ = std::make_shared<Recorder>();
  std::unique_ptr<LocalRunner> runner_;
  std::atomic<int> requests_ = 0;
  bool reject_if_busy_ = false;
};

/// Every generation that was handed over must end: the runner's destructor waits for it.
void answer(fake::Generation& g) {
  g.say("x");
  g.finish(engine::FinishReason::stop);
}

using Events = std::vector<std::string>;

TEST_F(LocalRunnerTest, RunsAChatFromInputToDurableCharge) {
  run(R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":20,"seed":5,"stop":"!"})");
  const auto g = model_->next();
  const auto& request = g->request();
  EXPECT_EQ(model_->tokenizer().decode(request.prompt, false),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(request.max_tokens, 20);
  EXPECT_EQ(request.sampling.seed, 5U);
  EXPECT_EQ(request.stop, Events{"!"});
  EXPECT_EQ(request.account, "local");
  EXPECT_DOUBLE_EQ(meter_.reserved.at("req-1"), (kHiTokens * 13778 + 20 * 26128) / 1e6)
      << "prompt and most of an answer";
  EXPECT_EQ(sink_->events(), Events{}) << "nothing is begun before the first token";
  clock_.advance_ms(7);
  g->say("Hel");
  g->say("lo");
  meter_.hold = true;
  g->finish(engine::FinishReason::stop);
  EXPECT_EQ(sink_->events(), (Events{"started SmolLM2-135M-Instruct~", "text Hel", "text lo"}))
      << "the end waits for the disk";
  meter_.held(nullptr);
  EXPECT_EQ(sink_->ended().back(), "finished stop");
  const auto result = sink_->result();
  EXPECT_EQ(result.text, "Hello");
  EXPECT_EQ(result.usage.prompt_tokens, kHiTokens);
  EXPECT_EQ(result.usage.completion_tokens, 5);
  EXPECT_DOUBLE_EQ(result.neurons, (kHiTokens * 13778 + 5 * 26128) / 1e6);
  EXPECT_DOUBLE_EQ(meter_.total, result.neurons);
  EXPECT_DOUBLE_EQ(result.first_token_ms, 2);
  EXPECT_DOUBLE_EQ(result.total_ms, 7);
  EXPECT_EQ(meter_.bills.at(0).model, kId);
  EXPECT_EQ(meter_.bills.at(0).task, "Text Generation");
  EXPECT_TRUE(meter_.bills.at(0).stand_in);
  EXPECT_TRUE(meter_.reserved.empty());
}

TEST_F(LocalRunnerTest, AnAliasAnswersAsItsId) {
  run(R"({"prompt":"hi"})", "@cf/meta/llama-3.1-8b-instruct-fast");
  const auto g = model_->next();
  g->say("x");
  g->finish(engine::FinishReason::length);
  EXPECT_EQ(sink_->ended().back(), "finished length");
  EXPECT_EQ(sink_->info().model, "@cf/meta/llama-3.1-8b-instruct-fp8-fast");
  EXPECT_EQ(engine_.acquired().at(0), dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf");
}

TEST_F(LocalRunnerTest, AModelWithoutAPriceCostsNothing) {
  run(R"({"prompt":"hi"})", "@hf/thebloke/deepseek-coder-6.7b-instruct-awq");
  const auto g = model_->next();
  answer(*g);
  sink_->ended();
  EXPECT_EQ(sink_->result().neurons, 0);
  EXPECT_EQ(meter_.usages.at(0).completion_tokens, 1) << "and is counted";
}

TEST_F(LocalRunnerTest, WhatIsWrongWithTheRequestIsSaidAtOnce) {
  EXPECT_EQ(refusal(R"({"prompt":"hi"})", "@cf/meta/llama-9"), "no_such_model: @cf/meta/llama-9");
  EXPECT_EQ(refusal(R"({"prompt":"hi"})", std::string(100000, 'x')).size(), 128U + 15U) << "an absurd id is cut";
  EXPECT_EQ(refusal(R"({"text":"hi"})", "@cf/baai/bge-base-en-v1.5"),
            "not_served: @cf/baai/bge-base-en-v1.5: the task Text Embeddings is not built in this version");
  EXPECT_EQ(
      refusal(R"({"prompt":"hi"})", "@cf/meta/llama-3.2-11b-vision-instruct"),
      "not_served: @cf/meta/llama-3.2-11b-vision-instruct: the task Text Generation with pictures is not built in "
      "this version");
  EXPECT_EQ(refusal(R"({"messages":[]})", "@cf/meta/llama-guard-3-8b"),
            "not_served: @cf/meta/llama-guard-3-8b: the task Text Generation of safety verdicts is not built in this "
            "version");
  EXPECT_EQ(refusal(R"({"state":"x"})", "@cf/cloudflare/clef-flash"),
            "not_served: @cf/cloudflare/clef-flash: the task Text Generation of typed decisions is not built in this "
            "version");
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user","content":3}]})"),
            "invalid_input: messages[0].content: must be a string or an array of parts");
  EXPECT_EQ(refusal(R"({"prompt":"hi","temperature":"0.5"})"), "invalid_input: temperature: must be a number");
  EXPECT_EQ(refusal(R"({"prompt":"hi","lora":"x"})"), "lora_unsupported: ");
  std::filesystem::remove(dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_NE(refusal(R"({"prompt":"hi"})").find("run scripts/fetch-weights"), std::string::npos);
  EXPECT_EQ(sink_->events(), Events{}) << "thrown, not told";
  EXPECT_TRUE(engine_.acquired().empty());
}

TEST_F(LocalRunnerTest, UnknownFieldsAreNamed) {
  run(R"({"prompt":"hi","max_token":5,"tool_choice":"auto","max_completion_tokens":5})");
  const auto g = model_->next();
  EXPECT_EQ(g->request().max_tokens, 256);
  answer(*g);
  sink_->ended();
  EXPECT_EQ(sink_->info().messages,
            (Events{"max_token: unknown parameter, ignored", "tool_choice: unknown parameter, ignored",
                    "max_completion_tokens: unknown parameter, ignored"}));
}

TEST_F(LocalRunnerTest, FieldsThatAreKnownAndNotServedAreNamed) {
  run(R"({"prompt":"hi","n":2,"logprobs":null})", "@cf/zai-org/glm-5.3-flash");
  answer(*model_->next());
  sink_->ended();
  EXPECT_EQ(sink_->info().messages, Events{"n: not served by this version of Glia, ignored"});
  EXPECT_EQ(refusal(R"({"requests":[{"prompt":"hi"}]})", "@cf/qwen/qwen3-30b-a3b-fp8"),
            "not_served: batch requests (requests)");
  EXPECT_EQ(refusal(R"({"input":"hi"})", "@cf/openai/gpt-oss-20b"),
            "invalid_input: input: the Responses form is not served by this version of Glia; use messages");
}

TEST_F(LocalRunnerTest, AnIdThatIsToRetireSaysSoAndAnswers) {
  constexpr std::string_view kRetires = "@cf/meta/llama-3.1-8b-instruct-awq";
  run(R"({"prompt":"hi"})", kRetires);
  answer(*model_->next());
  sink_->ended();
  EXPECT_EQ(sink_->info().messages,
            Events{"@cf/meta/llama-3.1-8b-instruct-awq: the service retires this id on 2026-05-30"});

  const auto retired = "model_deprecated: @cf/meta/llama-3.1-8b-instruct-awq was retired on 2026-05-30";
  make({.retired_by = "2026-05-30"});
  EXPECT_EQ(refusal(R"({"prompt":"hi"})", kRetires), retired);
  EXPECT_EQ(refusal(R"({})", kRetires), retired) << "whatever the input";
  make({.retired_by = "now"});
  EXPECT_EQ(refusal(R"({"prompt":"hi"})", kRetires), retired) << "the clock stands in November 2026";
  sink_ = std::make_shared<Recorder>();
  make({.retired_by = "2026-05-29"});
  EXPECT_EQ(refusal(R"({"prompt":"hi"})", kRetires), "accepted");
  answer(*model_->next());
}

TEST_F(LocalRunnerTest, TheCallerNeverWaitsForALoad) {
  engine_.hold(true);
  run(R"({"prompt":"hi"})");
  engine_.wait_for_acquire();
  EXPECT_EQ(sink_->events(), Events{});
  engine_.hold(false);
  const auto g = model_->next();
  answer(*g);
  EXPECT_EQ(sink_->ended().back(), "finished stop");
}

TEST_F(LocalRunnerTest, ALoadThatFailsReachesTheSink) {
  engine_.broken.emplace(ErrorCode::model_unavailable, "the file is cut off");
  run(R"({"prompt":"hi"})");
  EXPECT_EQ(sink_->ended(), Events{"failed The weights of this model are not available: the file is cut off"});
  EXPECT_EQ(meter_.released, 0) << "nothing had been reserved";
}

TEST_F(LocalRunnerTest, ARawPromptGoesInAsItIs) {
  run(R"({"prompt":"<|im_start|>x","raw":true})");
  const auto g = model_->next();
  EXPECT_EQ(g->request().prompt, (std::vector<std::int32_t>{fake::kImStart, 'x'}));
  answer(*g);
}

TEST_F(LocalRunnerTest, TheTemplatesOwnRefusalIsAnInputError) {
  run(R"({"messages":[{"role":"bad","content":"x"}]})");
  EXPECT_NE(sink_->ended().at(0).find("roles must be good"), std::string::npos);
}

TEST_F(LocalRunnerTest, WeightsWithoutATemplateTakeRawPromptsOnly) {
  model_ = std::make_shared<fake::Model>(std::nullopt);
  fake::Engine engine(model_);
  LocalRunner runner(catalog_, engine, meter_, clock_, weights_);
  runner.run({"a", "local", std::string(kId), parse_json(R"({"prompt":"hi"})").as_object()}, sink_);
  EXPECT_NE(sink_->ended().at(0).find("carry no chat template; use prompt with raw: true"), std::string::npos);
  const auto other = std::make_shared<Recorder>();
  runner.run({"b", "local", std::string(kId), parse_json(R"({"prompt":"hi","raw":true})").as_object()}, other);
  const auto g = model_->next();
  answer(*g);
  EXPECT_EQ(other->ended().back(), "finished stop");
}

TEST_F(LocalRunnerTest, AContextTooLongIsAnErrorWithTheNumbers) {
  const auto failure = [this](const std::string& inputs) {
    sink_ = std::make_shared<Recorder>();
    run(inputs);
    return sink_->ended().at(0);
  };
  const auto prompt = [](std::size_t n) { return R"("raw":true,"prompt":")" + std::string(n, 'x') + "\""; };
  EXPECT_NE(failure("{" + prompt(1000) + R"(,"max_tokens":25})")
                .find("1000 input tokens and max_tokens 25, the context window holds 1024"),
            std::string::npos);
  EXPECT_NE(failure("{" + prompt(1024) + "}").find("1024 input tokens, the context window holds 1024"),
            std::string::npos);
  EXPECT_NE(failure("{" + prompt(10) + R"(,"max_tokens":9223372036854775807})").find("max_tokens 9223372036854775807"),
            std::string::npos);
  std::string chunk = R"({"role":"user","content":")" + std::string(131072, 'x') + "\"}";
  EXPECT_NE(failure(R"({"messages":[)" + chunk + "," + chunk + "," + chunk + "," + chunk + "," + chunk + "]}")
                .find("more than 1280 input tokens"),
            std::string::npos)
      << "refused before it is tokenised";
}

TEST_F(LocalRunnerTest, MaxTokensThatNobodyAskedForIsLoweredAndSaid) {
  run(R"({"raw":true,"prompt":")" + std::string(1000, 'x') + "\"}");
  auto g = model_->next();
  EXPECT_EQ(g->request().max_tokens, 24);
  answer(*g);
  sink_->ended();
  EXPECT_EQ(sink_->info().messages, Events{"max_tokens: lowered to 24, what the context window of 1024 tokens leaves"});
  sink_ = std::make_shared<Recorder>();
  run(R"({"raw":true,"max_tokens":24,"prompt":")" + std::string(1000, 'x') + "\"}");
  g = model_->next();
  EXPECT_EQ(g->request().max_tokens, 24) << "the last that fits";
  answer(*g);
}

TEST_F(LocalRunnerTest, TheCataloguesWindowCountsToo) {
  model_ = std::make_shared<fake::Model>(fake::kChatMl, 100000);
  fake::Engine engine(model_);
  LocalRunner runner(catalog_, engine, meter_, clock_, weights_);
  runner.run({"a", "local", "@cf/mistral/mistral-7b-instruct-v0.1",
              parse_json(R"({"raw":true,"prompt":")" + std::string(2824, 'x') + "\"}").as_object()},
             sink_);
  EXPECT_NE(sink_->ended().at(0).find("the context window holds 2824"), std::string::npos);
}

TEST_F(LocalRunnerTest, AnExhaustedPlanRefusesBeforeAnythingRuns) {
  meter_.refuse.emplace(ErrorCode::quota_exceeded);
  run(R"({"prompt":"hi"})");
  EXPECT_EQ(sink_->ended(), Events{"failed " + std::string(default_text(ErrorCode::quota_exceeded))});
  EXPECT_EQ(meter_.released, 0);
}

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
  EXPECT_EQ(sink_->result().finish_reason, "cancelled");
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
