// For tests: an engine over the fake model, and what a plain loop over that model gives.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/fake_model.h"
#include "engine/sampler.h"

namespace glia::engine::fake {

using Tokens = std::vector<std::int32_t>;

struct Expected {
  Tokens tokens;
  std::string text;
  FinishReason reason = FinishReason::length;
};

/// The whole engine for one request, as a loop.
inline Expected expected(const GenerateRequest& request, bool echo = false) {
  Tokens history = request.prompt;
  Sampler sampler(request.sampling, request.sampling.seed.value_or(0), request.prompt, kVocab, request.max_tokens);
  TokenWeights weights(kVocab);
  Expected e;
  std::vector<float> logits(kVocab);
  while (static_cast<std::int32_t>(e.tokens.size()) < request.max_tokens) {
    logits_after(history, logits, echo);
    const std::int32_t id = sampler.sample(logits, e.tokens.size(), weights);
    sampler.accept(id);
    history.push_back(id);
    e.tokens.push_back(id);
    if (id == kEnd && !request.ignore_end_tokens) {
      e.reason = FinishReason::stop;
      break;
    }
    e.text += token_text(id);
  }
  return e;
}

inline GenerateRequest request(std::size_t prompt_tokens, std::int32_t max_tokens, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  GenerateRequest r;
  for (std::size_t i = 0; i < prompt_tokens; ++i) r.prompt.push_back(static_cast<std::int32_t>(1 + random() % 90));
  r.max_tokens = max_tokens;
  r.sampling = {.temperature = 1.0F, .top_p = 0.95F, .repetition_penalty = 1.1F, .seed = seed};
  r.account = std::string(1, static_cast<char>('a' + seed % 3));
  return r;
}

class EngineTest : public testing::Test {
 protected:
  void start(EngineOptions options = {}) {
    auto loader = std::make_unique<Loader>();
    loader->control = control_;
    engine_ = make_engine(options, *clock_, std::move(loader));
    model_ = engine_->acquire("/fake.gguf");
  }
  void stop() {
    model_.reset();
    engine_.reset();
  }
  std::shared_ptr<Sink> run(GenerateRequest r, std::shared_ptr<Generation>* handle = nullptr) {
    auto sink = std::make_shared<Sink>();
    auto generation = model_->generate(std::move(r), sink);
    if (handle != nullptr) *handle = std::move(generation);
    return sink;
  }
  ModelStatus status() const { return engine_->status().at(0); }

  void expect_answer(Sink& sink, const GenerateRequest& r) {
    sink.wait();
    ASSERT_TRUE(sink.result()) << sink.error()->message();
    const Expected e = expected(r, control_->echo);
    EXPECT_EQ(sink.tokens(), e.tokens);
    EXPECT_EQ(sink.text(), e.text);
    EXPECT_EQ(sink.result()->reason, e.reason);
    EXPECT_EQ(sink.result()->usage.prompt_tokens, static_cast<std::int32_t>(r.prompt.size()));
    EXPECT_EQ(sink.result()->usage.completion_tokens, static_cast<std::int32_t>(e.tokens.size()));
    EXPECT_TRUE(sink.in_contract());
  }

  void expect_error(GenerateRequest r, ErrorCode code, std::string_view detail) {
    try {
      model_->generate(std::move(r), std::make_shared<Sink>());
      ADD_FAILURE() << "expected: " << detail;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_EQ(error.detail(), detail);
    }
  }

  std::unique_ptr<Clock> clock_ = std::make_unique<SystemClock>();
  std::shared_ptr<Control> control_ = std::make_shared<Control>();
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<ChatModel> model_;
};

}  // namespace glia::engine::fake
