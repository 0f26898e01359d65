#include <cmath>
#include <future>
#include <thread>

#include "engine/fake_encoder.h"
#include "tasks/local_runner_fixture.h"

namespace glia::tasks::fake {
namespace {

constexpr std::string_view kBge = "@cf/baai/bge-base-en-v1.5";  // 6058 neurons per million tokens, 768 values
constexpr std::string_view kM3 = "@cf/baai/bge-m3";
constexpr std::string_view kReranker = "@cf/baai/bge-reranker-base";
constexpr std::string_view kSst2 = "@cf/huggingface/distilbert-sst-2-int8";

using Encoder = engine::fake::TextEncoder;
constexpr std::size_t kWidth = engine::fake::kHidden;

class EncodingRunTest : public LocalRunnerTest {
 protected:
  EncodingRunTest() {
    std::filesystem::create_directories(dir_ / catalog_.weights("all-MiniLM-L6-v2")->file);
    use({});
  }
  void use(std::vector<std::string> labels, std::int32_t context = 512, std::int32_t width = kWidth) {
    encoder_ = std::make_shared<Encoder>(byte_tokenizer(), engine::TextEncoderInfo{.context = context,
                                                                                   .hidden = kWidth,
                                                                                   .width = width,
                                                                                   .pooling = engine::Pooling::mean,
                                                                                   .normalises = true,
                                                                                   .labels = std::move(labels)});
    engine_.encoder = encoder_;
  }
  /// The only answer of the run so far.
  EncodingResult answer(std::string_view inputs, std::string_view model) {
    run(inputs, model);
    EXPECT_EQ(sink_->ended().back(), "encoded") << sink_->ended().back();
    const EncodingResult result = sink_->encoding();
    sink_ = std::make_shared<Recorder>();
    return result;
  }
  std::string failure(std::string_view inputs, std::string_view model) {
    run(inputs, model);
    std::string last = sink_->ended().back();
    sink_ = std::make_shared<Recorder>();
    return last;
  }

  std::shared_ptr<Encoder> encoder_;
};

TEST_F(EncodingRunTest, VectorsOfAStandInAreFilledUpWithZeros) {
  const EncodingResult result = answer(R"({"text":["ab","c"]})", kBge);
  const auto& vectors = std::get<Embeddings>(result.answer);
  EXPECT_EQ(vectors.width, 768U);
  ASSERT_EQ(vectors.values.size(), 2 * 768U);
  EXPECT_EQ(vectors.pooling, "mean");
  engine::EncodeRequest same;
  same.texts = {{encoder_->tokenizer().encode("ab", true), {}}, {encoder_->tokenizer().encode("c", true), {}}};
  same.normalise = true;
  const auto own = encoder_->answer(same).values;
  for (std::size_t i = 0; i < 768; i++) {
    EXPECT_EQ(vectors.values[i], i < kWidth ? own[i] : 0) << i;
    EXPECT_EQ(vectors.values[768 + i], i < kWidth ? own[kWidth + i] : 0) << i;
  }
  EXPECT_EQ(result.usage.prompt_tokens, 3);
  EXPECT_EQ(result.usage.completion_tokens, 0);
  EXPECT_DOUBLE_EQ(result.neurons, std::round(3 * 6058.0) / 1e6);
  EXPECT_DOUBLE_EQ(meter_.total, result.neurons);
  EXPECT_EQ(meter_.bills.at(0).task, "Text Embeddings");
  EXPECT_TRUE(meter_.reserved.empty());
}

TEST_F(EncodingRunTest, PoolingIsAsAsked) {
  const auto mean = std::get<Embeddings>(answer(R"({"text":"ab"})", kBge).answer);
  const auto cls = std::get<Embeddings>(answer(R"({"text":"ab","pooling":"cls"})", kBge).answer);
  EXPECT_EQ(cls.pooling, "cls");
  EXPECT_NE(mean.values, cls.values);
}

TEST_F(EncodingRunTest, WeightsThatAreTooWideAreRefused) {
  use({}, 512, 1000);
  EXPECT_NE(failure(R"({"text":"a"})", kBge).find("1000 values"), std::string::npos);
  EXPECT_EQ(meter_.bills.size(), 0U);
}

TEST_F(EncodingRunTest, ATextThatIsTooLongNamesItself) {
  use({}, 8);
  const std::string failed = failure(R"({"text":["short","far too long"]})", kBge);
  EXPECT_NE(failed.find("text[1]: 12 tokens, the model reads 8"), std::string::npos) << failed;
  EXPECT_EQ(meter_.total, 0);
  EXPECT_TRUE(meter_.reserved.empty());
}

TEST_F(EncodingRunTest, OrIsCutWhereTheClientSaysSo) {
  use({}, 8);
  EXPECT_NE(failure(R"({"text":["far too long"]})", kM3).find("12 tokens"), std::string::npos);
  const auto result = answer(R"({"query":"far","contexts":[{"text":"far too long"}],"truncate_inputs":true})", kM3);
  EXPECT_EQ(result.usage.prompt_tokens, 3 + 8);
}

TEST_F(EncodingRunTest, ContextsAreScoredByTheNearnessOfVectors) {
  const auto result = answer(R"({"query":"abc","contexts":[{"text":"xyz"},{"text":"abc"}]})", kM3);
  const auto& scores = std::get<std::vector<ContextScore>>(result.answer);
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_EQ(scores[0].context, 1U);
  EXPECT_NEAR(scores[0].score, 1, 1e-5);
  EXPECT_LT(scores[1].score, scores[0].score);
}

TEST_F(EncodingRunTest, ACrossEncoderReadsQueryAndContextTogether) {
  use({"LABEL_0"});
  std::vector<engine::EncodeRequest> seen;
  encoder_->on_encode = [&](engine::EncodeRequest request, const auto& sink, const auto&) {
    seen.push_back(request);
    sink->done(encoder_->answer(request));
  };
  const auto result =
      answer(R"({"query":"q","contexts":[{"text":"a"},{"text":"b"},{"text":"c"}],"top_k":2})", kReranker);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].output, engine::EncodeOutput::probabilities);
  ASSERT_EQ(seen[0].texts.size(), 3U);
  EXPECT_EQ(seen[0].texts[0].tokens.size(), seen[0].texts[0].types.size());
  const auto& scores = std::get<std::vector<ContextScore>>(result.answer);
  ASSERT_EQ(scores.size(), 2U);
  EXPECT_GE(scores[0].score, scores[1].score);
  EXPECT_GT(scores[0].score, 0);
  EXPECT_LT(scores[0].score, 1);
}

TEST_F(EncodingRunTest, WithoutAClassifierTokensMeetLate) {
  const auto result =
      answer(R"({"query":"abcd","contexts":[{"text":"zzzz"},{"text":"bcab"},{"text":"abcd"}]})", kReranker);
  const auto& scores = std::get<std::vector<ContextScore>>(result.answer);
  ASSERT_EQ(scores.size(), 3U);
  EXPECT_EQ(scores.back().context, 0U);
  EXPECT_EQ(result.usage.prompt_tokens, 16);
}

TEST_F(EncodingRunTest, ManyContextsAreReadInTurns) {
  use({}, 512);
  std::atomic<int> calls = 0;
  encoder_->on_encode = [&](engine::EncodeRequest request, const auto& sink, const auto&) {
    calls++;
    sink->done(encoder_->answer(request));
  };
  json::array contexts;
  for (int i = 0; i < 40; i++) {
    contexts.push_back(
        json::object{{"text", std::string(400 + static_cast<std::size_t>(i), static_cast<char>('A' + i))}});
  }
  contexts.push_back(json::object{{"text", "the very words"}});
  const auto result =
      answer(json::serialize(json::object{{"query", "very words"}, {"contexts", contexts}, {"top_k", 1}}), kReranker);
  EXPECT_GT(calls, 1);
  EXPECT_EQ(std::get<std::vector<ContextScore>>(result.answer).at(0).context, 40U);
  EXPECT_EQ(result.usage.prompt_tokens, 10 + 40 * 400 + 39 * 40 / 2 + 14);
  EXPECT_DOUBLE_EQ(meter_.total, result.neurons) << "charged once";
}

TEST_F(EncodingRunTest, LabelsComeInTheModelsOrder) {
  use({"NEGATIVE", "POSITIVE"});
  WeightsOptions options{.models_dir = dir_};
  options.overrides[std::string(kSst2)] = dir_ / "mine";
  std::filesystem::create_directories(dir_ / "mine");
  const Weights own(catalog_, options);
  runner_ = std::make_unique<LocalRunner>(catalog_, engine_, meter_, clock_, own);
  const auto result = answer(R"({"text":"good"})", kSst2);
  const auto& labels = std::get<std::vector<LabelScore>>(result.answer);
  ASSERT_EQ(labels.size(), 2U);
  EXPECT_EQ(labels[0].label, "NEGATIVE");
  EXPECT_NEAR(labels[0].score + labels[1].score, 1, 1e-6);
  runner_.reset();
}

TEST_F(EncodingRunTest, WeightsWithoutLabelsClassifyNothing) {
  WeightsOptions options{.models_dir = dir_};
  options.overrides[std::string(kSst2)] = dir_;
  const Weights own(catalog_, options);
  runner_ = std::make_unique<LocalRunner>(catalog_, engine_, meter_, clock_, own);
  EXPECT_NE(failure(R"({"text":"good"})", kSst2).find("tell no labels apart"), std::string::npos);
  runner_.reset();
}

TEST_F(EncodingRunTest, WhatLeavesIsCancelledAndChargedForWhatWasRead) {
  std::promise<std::pair<std::shared_ptr<engine::EncodeSink>, std::shared_ptr<Encoder::Handle>>> handed;
  encoder_->on_encode = [&](const engine::EncodeRequest&, auto sink, auto handle) { handed.set_value({sink, handle}); };
  const auto handle = run(R"({"text":"abc"})", kBge);
  const auto [sink, running] = handed.get_future().get();
  while (!running->cancelled) {
    handle->cancel();
    std::this_thread::yield();
  }
  engine::EncodeResult part;
  part.cancelled = true;
  part.tokens = 2;
  sink->done(part);
  EXPECT_EQ(sink_->ended().back(), "cancelled");
  EXPECT_EQ(meter_.usages.at(0).prompt_tokens, 2);
}

TEST_F(EncodingRunTest, WhatBreaksIsNotCharged) {
  encoder_->on_encode = [&](const engine::EncodeRequest&, auto sink, auto) {
    sink->failed(Error(ErrorCode::internal));
  };
  EXPECT_NE(failure(R"({"text":"abc"})", kBge).find("failed"), std::string::npos);
  EXPECT_EQ(meter_.released, 1);
}

TEST_F(EncodingRunTest, AFullQueueIsSaid) {
  encoder_->refuse = Error(ErrorCode::out_of_capacity);
  EXPECT_EQ(failure(R"({"text":"abc"})", kBge), "failed " + Error(ErrorCode::out_of_capacity).message());
  EXPECT_TRUE(meter_.reserved.empty());
}

TEST_F(EncodingRunTest, AnExhaustedPlanComesBeforeTheWork) {
  meter_.refuse = Error(ErrorCode::quota_exceeded);
  bool worked = false;
  encoder_->on_encode = [&](auto&&...) { worked = true; };
  EXPECT_EQ(failure(R"({"text":"abc"})", kBge), "failed " + Error(ErrorCode::quota_exceeded).message());
  EXPECT_FALSE(worked);
}

}  // namespace
}  // namespace glia::tasks::fake
