#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/error.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

class SmolLM2 : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const formats::GgufFile file = formats::GgufFile::open(smollm2_path());
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::from_gguf(file));
  }
  static void TearDownTestSuite() { tokenizer_.reset(); }
  static inline std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(SmolLM2, KnowsItsSpecialTokens) {
  EXPECT_EQ(tokenizer_->vocab_size(), 49152);
  EXPECT_EQ(tokenizer_->bos_text(), "<|im_start|>");
  EXPECT_EQ(tokenizer_->eos_text(), "<|im_end|>");
  EXPECT_EQ(tokenizer_->end_tokens(), (std::vector<std::int32_t>{2, 0}));
  EXPECT_EQ(tokenizer_->token_id("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer_->token_id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer_->token_text(1), "<|im_start|>");
  EXPECT_EQ(tokenizer_->token_text(1 << 20), "");
  EXPECT_EQ(tokenizer_->token_text(-1), "");
}

TEST_F(SmolLM2, RecognisesSpecialTokensInText) {
  const auto ids = tokenizer_->encode("<|im_start|>user\nHi<|im_end|>", false);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 4093, 198, 26843, 2}));
  EXPECT_EQ(tokenizer_->decode(ids, true), "user\nHi");
  EXPECT_EQ(tokenizer_->decode(ids, false), "<|im_start|>user\nHi<|im_end|>");
}

TEST_F(SmolLM2, EmptyTextIsNoTokens) {
  EXPECT_TRUE(tokenizer_->encode("", true).empty());
  EXPECT_EQ(tokenizer_->decode({}, true), "");
}

TEST_F(SmolLM2, InvalidUtf8IsInvalidInput) {
  for (const std::string_view text : {"a\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80"}) {
    try {
      tokenizer_->encode(text, false);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_input);
    }
  }
}

TEST_F(SmolLM2, IdsOutsideTheVocabularyHaveNoText) {
  EXPECT_EQ(tokenizer_->decode(std::vector<std::int32_t>{26843, -1, 1 << 30, 17}, false), "Hi!");
}

TEST_F(SmolLM2, StreamsEachTokenAtOnceAndHoldsBackOnlyHalfCharacters) {
  StreamDecoder stream(*tokenizer_);
  for (const std::int32_t id : tokenizer_->encode("Each token's text, at once.", false)) {
    EXPECT_EQ(stream.push(id), tokenizer_->decode(std::vector{id}, false));
  }
  const auto ids = tokenizer_->encode("\xF0\x9F\x91\xA9", false);
  ASSERT_GT(ids.size(), 1U);
  for (std::size_t i = 0; i + 1 < ids.size(); i++) EXPECT_EQ(stream.push(ids[i]), "");
  EXPECT_EQ(stream.push(ids.back()), "\xF0\x9F\x91\xA9");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST_F(SmolLM2, IsSharedByThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; i++) {
        const std::string text = "number " + std::to_string(i) + " \xC3\xA9";
        wrong += tokenizer_->decode(tokenizer_->encode(text, false), false) != text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace glia::text
