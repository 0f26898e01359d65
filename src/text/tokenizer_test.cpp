#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/smollm2.h"

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

}  // namespace
}  // namespace glia::text
