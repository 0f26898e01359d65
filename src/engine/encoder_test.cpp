// Encoders in the engine over the fake encoder: what requests give whatever they share batches with, who waits for
// whom, endings and refusals.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/fake_encoder.h"
#include "engine/fake_model.h"

namespace glia::engine {
namespace {

class Answer final : public EncodeSink {
 public:
  void done(EncodeResult result) override {
    end([&] { result_ = std::move(result); });
  }
  void failed(const Error& error) override {
    end([&] { error_ = error; });
  }
  Answer& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ends_ > 0; });
    return *this;
  }
  bool ended() {
    const std::lock_guard lock(mutex_);
    return ends_ > 0;
  }
  int ends() {
    const std::lock_guard lock(mutex_);
    return ends_;
  }
  const EncodeResult& result() { return *wait().result_; }
  const std::optional<Error>& error() { return wait().error_; }

 private:
  template <typename Set>
  void end(Set set) {
    const std::lock_guard lock(mutex_);
    set();
    ++ends_;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int ends_ = 0;
  std::optional<EncodeResult> result_;
  std::optional<Error> error_;
};

EncodeRequest request(std::initializer_list<std::size_t> lengths, std::uint64_t seed, std::string account = "a") {
  std::mt19937_64 random(seed);
  EncodeRequest r;
  for (const std::size_t n : lengths) {
    EncodeText text;
    for (std::size_t i = 0; i < n; ++i) {
      text.tokens.push_back(static_cast<std::int32_t>(random() % fake::kNoLogits));
      text.types.push_back(i * 2 < n ? 0 : 1);
    }
    r.texts.push_back(std::move(text));
  }
  r.account = std::move(account);
  return r;
}

class EncoderTest : public testing::Test {
 protected:
  void start(EngineOptions options = {}) {
    auto loader = std::make_unique<fake::Loader>();
    loader->control = control_;
    loader->files["/encoder"] = {.encodes = true};
    loader->make_encoder = [](auto control, std::int32_t context, std::size_t bytes) {
      return std::make_unique<fake::Encoder>(std::move(control), context, bytes);
    };
    engine_ = make_engine(options, clock_, std::move(loader));
    model_ = engine_->acquire_encoder("/encoder");
  }
  std::shared_ptr<Answer> run(EncodeRequest r, std::shared_ptr<Generation>* handle = nullptr) {
    auto answer = std::make_shared<Answer>();
    auto generation = model_->encode(std::move(r), answer);
    if (handle != nullptr) *handle = std::move(generation);
    return answer;
  }
  void expect_refusal(EncodeRequest r, ErrorCode code, std::string_view detail) {
    try {
      model_->encode(std::move(r), std::make_shared<Answer>());
      ADD_FAILURE() << "expected: " << detail;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_EQ(error.detail(), detail);
    }
  }
  /// The whole engine for one request, as a loop.
  static std::vector<float> expected(const EncodeRequest& r) {
    std::vector<float> all;
    for (const EncodeText& text : r.texts) {
      const bool states = r.output == EncodeOutput::states;
      const bool embeds = r.output == EncodeOutput::embedding;
      std::vector<float> out(states ? text.tokens.size() * fake::kHidden : embeds ? fake::kHidden : fake::kLabels);
      fake::encode_text({.tokens = text.tokens,
                         .types = text.types,
                         .output = states   ? models::EncoderOutput::states
                                   : embeds ? models::EncoderOutput::vector
                                            : models::EncoderOutput::logits,
                         .pooling = r.pooling.value_or(Pooling::mean),
                         .normalise = r.normalise.value_or(embeds),
                         .out = out},
                        fake::kHidden, fake::kLabels);
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

  SystemClock clock_;
  std::shared_ptr<fake::Control> control_ = std::make_shared<fake::Control>();
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<TextEncoder> model_;
};

TEST_F(EncoderTest, gives_every_text_its_own_row_whatever_shares_its_batch) {
  start({.max_batch_rows = 16});
  std::vector<EncodeRequest> requests;
  std::vector<std::shared_ptr<Answer>> answers;
  for (std::uint64_t i = 0; i < 40; ++i) {
    EncodeRequest r = request({1 + i % 7, 20, 3, 1 + i}, i, std::string(1, static_cast<char>('a' + i % 3)));
    r.output = i % 4 == 1 ? EncodeOutput::states : i % 4 == 2 ? EncodeOutput::logits : EncodeOutput::embedding;
    if (i % 5 == 0) r.pooling = Pooling::first;
    if (i % 3 == 0) r.normalise = false;
    requests.push_back(r);
  }
  for (const EncodeRequest& r : requests) answers.push_back(run(r));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    ASSERT_FALSE(answers[i]->error()) << answers[i]->error()->message();
    const EncodeResult& result = answers[i]->result();
    EXPECT_EQ(result.values, expected(requests[i])) << i;
    EXPECT_EQ(result.tokens, static_cast<std::int64_t>(24 + i % 7 + 1 + i));
    EXPECT_EQ(result.width, requests[i].output == EncodeOutput::logits ? fake::kLabels : fake::kHidden);
    ASSERT_EQ(result.rows.size(), 4U);
    EXPECT_EQ(std::accumulate(result.rows.begin(), result.rows.end(), 0) * result.width,
              static_cast<std::int32_t>(result.values.size()));
    EXPECT_EQ(answers[i]->ends(), 1);
  }
  EXPECT_EQ(control_->most_rows, 40) << "a longer text goes alone, others share 16 rows";
  const ModelStatus status = engine_->status().at(0);
  EXPECT_EQ(status.figures.stopped, 40U);
  EXPECT_EQ(status.running + status.queued, 0);
  EXPECT_GT(status.prompt_tokens, 0);
  EXPECT_EQ(status.kv_pages, 0);
}

TEST_F(EncoderTest, probabilities_are_of_the_classifier) {
  start();
  EncodeRequest r = request({5, 9}, 1);
  r.output = EncodeOutput::logits;
  const std::vector<float> logits = expected(r);
  r.output = EncodeOutput::probabilities;
  const auto answer = run(r);
  const std::vector<float>& p = answer->result().values;
  ASSERT_EQ(p.size(), 6U);
  for (std::size_t text = 0; text < 2; ++text) {
    double total = 0;
    for (std::size_t i = 0; i < 3; ++i) total += std::exp(static_cast<double>(logits[text * 3 + i]));
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(p[text * 3 + i], std::exp(static_cast<double>(logits[text * 3 + i])) / total, 1e-6);
    }
  }
}

TEST_F(EncoderTest, a_short_request_does_not_wait_for_a_long_one) {
  start({.max_batch_rows = 16});
  control_->allow(0);
  EncodeRequest r;
  for (std::uint64_t i = 0; i < 100; ++i) r.texts.push_back(request({16}, i).texts.front());
  r.account = "greedy";
  const auto long_one = run(r);
  control_->wait_for_steps(1);
  const auto own = run(request({4}, 7, "greedy"));
  const auto other = run(request({4}, 8, "other"));
  control_->allow(3);
  EXPECT_FALSE(own->wait().error());
  EXPECT_FALSE(other->wait().error());
  EXPECT_FALSE(long_one->ended());
  control_->allow(-1);
  EXPECT_EQ(long_one->result().rows.size(), 100U);
}

TEST_F(EncoderTest, cancelling_ends_a_request_within_a_step) {
  start({.max_batch_rows = 16});
  control_->allow(0);
  std::shared_ptr<Generation> handle;
  const auto answer = run(request({16, 16, 16, 16}, 1), &handle);
  control_->wait_for_steps(1);
  handle->cancel();
  control_->allow(1);
  const EncodeResult& result = answer->result();
  EXPECT_TRUE(result.cancelled);
  EXPECT_EQ(result.tokens, 16) << "what went through the model";
  EXPECT_TRUE(result.values.empty());
  control_->allow(-1);
  EXPECT_FALSE(run(request({3}, 2))->error()) << "others go on";
  EXPECT_EQ(engine_->status().at(0).figures.cancelled, 1U);
}

TEST_F(EncoderTest, a_broken_step_fails_those_in_it_alone) {
  start({.max_batch_rows = 16});
  control_->allow(0);
  control_->throws = true;
  const auto broken = run(request({16}, 1));
  control_->wait_for_steps(1);
  const auto fine = run(request({16}, 2));
  control_->allow(-1);
  ASSERT_TRUE(broken->error());
  EXPECT_EQ(broken->error()->code(), ErrorCode::internal);
  EXPECT_FALSE(fine->error());
}

TEST_F(EncoderTest, values_that_are_no_numbers_fail_their_own_request_alone) {
  start({.max_batch_rows = 16});
  for (const EncodeOutput output : {EncodeOutput::embedding, EncodeOutput::states, EncodeOutput::probabilities}) {
    control_->allow(0);
    const auto blocker = run(request({16}, 1));  // so that the next three share a batch
    EncodeRequest wrong = request({2, 3, 2, 16}, 2);
    wrong.output = output;
    wrong.texts[0].tokens[1] = wrong.texts[2].tokens[0] = fake::kNoLogits;
    const EncodeRequest before = request({3}, 3), after = request({2, 16}, 4);
    const auto first = run(before);
    const auto broken = run(wrong);
    const auto last = run(after);
    control_->allow(-1);
    ASSERT_TRUE(broken->error());
    EXPECT_EQ(broken->error()->code(), ErrorCode::internal);
    EXPECT_EQ(broken->error()->detail(), "the model gave values that are not finite numbers");
    EXPECT_EQ(broken->ends(), 1);
    EXPECT_EQ(first->result().values, expected(before));
    EXPECT_EQ(last->result().values, expected(after));
    EXPECT_FALSE(blocker->error());
  }
  EXPECT_EQ(engine_->status().at(0).figures.failed, 3U);
  EXPECT_EQ(engine_->status().at(0).running + engine_->status().at(0).queued, 0);
}

TEST_F(EncoderTest, refuses_what_cannot_run) {
  start({.max_running = 1, .max_queued = 1});
  EncodeRequest r;
  expect_refusal(r, ErrorCode::invalid_input, "there is no text to encode");
  r = request({3, 0}, 1);
  expect_refusal(r, ErrorCode::invalid_input, "a text has no tokens");
  expect_refusal(request({3, 600}, 1), ErrorCode::context_too_long,
                 "a text of 600 tokens exceeds the context of 512 tokens");
  r = request({3}, 1);
  r.texts[0].tokens[1] = fake::kVocab;
  expect_refusal(r, ErrorCode::invalid_input, "a text holds a token that the model does not know");
  r.texts[0].tokens[1] = -1;
  expect_refusal(r, ErrorCode::invalid_input, "a text holds a token that the model does not know");
  r = request({3}, 1);
  r.texts[0].types[1] = 2;
  expect_refusal(r, ErrorCode::invalid_input, "a text holds a type that the model does not know");
  r.texts[0].types = {0};
  expect_refusal(r, ErrorCode::invalid_input, "a text has not one type per token");
  control_->allow(0);
  const auto first = run(request({3}, 1));
  const auto second = run(request({3}, 2));
  try {
    model_->encode(request({3}, 3), std::make_shared<Answer>());
    ADD_FAILURE() << "a third was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_capacity);
    EXPECT_GE(error.retry_after_s, 1);
  }
  control_->allow(-1);
  EXPECT_FALSE(first->error());
  EXPECT_FALSE(second->error());
  EXPECT_EQ(engine_->status().at(0).figures.refused, 1U);
}

TEST_F(EncoderTest, stopping_the_engine_aborts_what_waits) {
  start({.max_batch_rows = 16});
  control_->step_time = std::chrono::milliseconds(1);
  EncodeRequest endless = request({16}, 1);
  endless.texts.assign(20'000, EncodeText(endless.texts[0]));  // a step each
  const auto answer = run(std::move(endless));
  control_->wait_for_steps(1);
  engine_.reset();
  ASSERT_TRUE(answer->error());
  EXPECT_EQ(answer->error()->code(), ErrorCode::aborted);
  try {
    model_->encode(request({3}, 1), std::make_shared<Answer>());
    ADD_FAILURE() << "there is no engine any more";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::aborted);
  }
}

TEST_F(EncoderTest, a_model_is_one_or_the_other) {
  start();
  EXPECT_EQ(engine_->find("/encoder"), nullptr);
  EXPECT_NE(engine_->find_encoder("/encoder"), nullptr);
  const auto chat = engine_->acquire("/fake.gguf");
  EXPECT_EQ(engine_->find_encoder("/fake.gguf"), nullptr);
  EXPECT_EQ(engine_->status().size(), 2U);
  for (const bool encodes : {true, false}) {
    try {
      if (encodes) {
        engine_->acquire("/encoder");
      } else {
        engine_->acquire_encoder("/fake.gguf");
      }
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
    }
  }
}

}  // namespace
}  // namespace glia::engine
