// A run from its input to its charge, and what is wrong with an input.
#include <gtest/gtest.h>

#include "tasks/local_runner_fixture.h"

namespace glia::tasks {
namespace {

using fake::answer;
using fake::Events;
using fake::kHiTokens;
using fake::kId;
using fake::LocalRunnerTest;
using fake::Recorder;

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
  EXPECT_EQ(refusal(R"({"text":["hi",3]})", "@cf/baai/bge-base-en-v1.5"), "invalid_input: text[1]: must be a string");
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

}  // namespace
}  // namespace glia::tasks
