// The engine on all-MiniLM-L6-v2: text to vectors through tokenizer, queue and device, against transformers
// (tests/golden/make_minilm.py), alone and beside a chat model. And on tiny folders as Qwen3 Embedding and
// EmbeddingGemma come, against sentence-transformers (make_encoders.py).
#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>

#include "engine/fake_model.h"
#include "engine/text_encoder.h"
#include "formats/safetensors.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::engine {
namespace {

class Answer final : public EncodeSink {
 public:
  void done(EncodeResult result) override {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
    changed_.notify_all();
  }
  void failed(const Error& error) override {
    const std::lock_guard lock(mutex_);
    error_ = error;
    changed_.notify_all();
  }
  const EncodeResult& result() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return result_ || error_; });
    if (error_) throw *error_;
    return *result_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<EncodeResult> result_;
  std::optional<Error> error_;
};

std::vector<float> expected_means() {
  const auto file = formats::SafetensorsFile::open(text::golden_path("minilm/expected.safetensors"));
  const auto view = file.find("mean").value();
  std::vector<float> out(view.data.size() / sizeof(float));
  std::memcpy(out.data(), view.data.data(), view.data.size());
  return out;
}

/// The golden's short texts, which stand first in it.
std::vector<std::string> short_texts() {
  std::vector<std::string> out;
  const json::value golden = parse_json(text::read_golden("minilm/tokens.json"));
  for (const json::value& row : golden.as_array()) {
    if (!row.at("pair").is_null()) break;
    const std::string text(row.at("text").as_string());
    if (out.empty() || out.back() != text) out.push_back(text);
  }
  return out;
}

EncodeRequest request(const TextEncoder& model, const std::vector<std::string>& texts) {
  EncodeRequest r;
  for (const std::string& text : texts) {
    text::Encoding e = model.tokenizer().encode_text(text, static_cast<std::size_t>(model.info().context));
    r.texts.push_back({std::move(e.ids), std::move(e.types)});
  }
  return r;
}

TEST(RealEncoder, TextsBecomeTheVectorsOfTransformers) {
  SystemClock clock;
  for (const auto math : {kernels::MathMode::exact, kernels::MathMode::fast}) {
    const auto engine = make_engine({.math = math}, clock);
    const auto model = engine->acquire_encoder(text::minilm_path());
    EXPECT_EQ(model->name(), "all-MiniLM-L6-v2");
    EXPECT_EQ(model->info().context, 512);
    EXPECT_EQ(model->info().advised_tokens, 256);
    const auto answer = std::make_shared<Answer>();
    model->encode(request(*model, short_texts()), answer);
    const EncodeResult& result = answer->result();
    const std::vector<float> want = expected_means();
    ASSERT_EQ(result.width, 384);
    ASSERT_EQ(result.rows.size(), short_texts().size());
    for (std::size_t i = 0; i < result.rows.size(); ++i) {
      double dot = 0;
      for (std::size_t c = 0; c < 384; ++c) {
        dot += static_cast<double>(result.values[i * 384 + c]) * static_cast<double>(want[i * 384 + c]);
      }
      EXPECT_NEAR(dot, 1, math == kernels::MathMode::exact ? 1e-6 : 1e-4) << short_texts()[i];
    }
    const ModelStatus status = engine->status().at(0);
    EXPECT_EQ(status.prompt_tokens, result.tokens);
    EXPECT_GE(status.bytes, status.weight_bytes + status.scratch_bytes);
    EXPECT_EQ(status.kv_bytes, 0U);
  }
}

/// The bound is encoder/golden_test.cpp's: six layers at most, values below 1.
TEST(EncoderFolder, TextsBecomeTheVectorsOfSentenceTransformers) {
  SystemClock clock;
  const auto engine = make_engine({.math = kernels::MathMode::exact}, clock);
  for (const std::string file :
       {"qwen3_embedding", "embedding_gemma", "qwen3_embedding.gguf", "embedding_gemma.gguf"}) {
    const std::string name = file.substr(0, file.find('.'));
    const auto model = engine->acquire_encoder(text::golden_path("encoders/" + file));
    const json::value golden = parse_json(text::read_golden("encoders/" + name + ".texts.json"));
    std::vector<std::string> texts;
    for (const json::value& row : golden.as_array()) texts.emplace_back(row.at("text").as_string());
    EncodeRequest batch = request(*model, texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(batch.texts[i].tokens, json::value_to<std::vector<std::int32_t>>(golden.at(i).at("ids"))) << texts[i];
    }
    const auto answer = std::make_shared<Answer>();
    model->encode(std::move(batch), answer);
    const EncodeResult& result = answer->result();
    ASSERT_EQ(result.width, 64);
    ASSERT_EQ(result.rows.size(), texts.size());
    const double tolerance = 2 * std::sqrt(8.0 * 6 + 4) * std::sqrt(128.0) * std::ldexp(1.0, -24);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto want = json::value_to<std::vector<double>>(golden.at(i).at("vector"));
      for (std::size_t c = 0; c < 64; ++c) {
        ASSERT_NEAR(static_cast<double>(result.values[i * 64 + c]), want[c], tolerance) << file << ": " << texts[i];
      }
    }
  }
}

/// What stands behind every text stays behind a shortened one: Qwen3 Embedding takes the last token's state.
TEST(EncoderFolder, AShortenedTextKeepsItsEnd) {
  SystemClock clock;
  const auto engine = make_engine({}, clock);
  const auto model = engine->acquire_encoder(text::golden_path("encoders/qwen3_embedding"));
  const text::Encoding whole = model->tokenizer().encode_text("the red bicycle", 40);
  const text::Encoding cut = model->tokenizer().encode_text("the red bicycle", 5);
  ASSERT_EQ(cut.ids.size(), 5U);
  EXPECT_EQ(cut.ids.back(), whole.ids.back());
  EXPECT_EQ(cut.ids[3], whole.ids[3]);
}

/// Requests from several threads, beside a chat that generates: each gets the bits that it gets alone.
TEST(RealEncoder, BitsDoNotDependOnWhatElseRuns) {
  SystemClock clock;
  const auto engine = make_engine({.max_batch_rows = 64}, clock);
  const auto model = engine->acquire_encoder(text::minilm_path());
  const auto chat = engine->acquire(text::smollm2_path());
  const auto alone = std::make_shared<Answer>();
  model->encode(request(*model, short_texts()), alone);
  const std::vector<float> want = alone->result().values;

  const auto spoken = std::make_shared<fake::Sink>();
  GenerateRequest question;
  question.prompt = chat->tokenizer().encode("Once upon a time", false);
  question.max_tokens = 24;
  chat->generate(question, spoken);
  std::vector<std::shared_ptr<Answer>> answers(24);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < answers.size(); i += 3) {
        answers[i] = std::make_shared<Answer>();
        EncodeRequest r = request(*model, short_texts());
        r.account = std::string(1, static_cast<char>('a' + t));
        model->encode(std::move(r), answers[i]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& answer : answers) EXPECT_EQ(answer->result().values, want);
  EXPECT_FALSE(spoken->wait().error());
}

}  // namespace
}  // namespace glia::engine
