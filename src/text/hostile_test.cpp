// Vocabularies and texts that are broken or made to hurt: an error or an answer, never a crash, a hang or much memory.

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "base/error.h"
#include "base/sanitized.h"
#include "formats/gguf_writer.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

using formats::GgufWriter;
using Scalars = std::vector<GgufWriter::Scalar>;

/// A small good vocabulary, to be broken one piece at a time.
struct Vocab {
  std::string model = "gpt2";
  std::string pre = "gpt-2";
  std::vector<std::string> tokens = {"<s>", "a", "b", "ab", "Ġ"};
  std::vector<std::string> merges = {"a b"};
  std::vector<float> scores;
  std::vector<std::int32_t> types = {3, 1, 1, 1, 1};
  std::uint32_t bos = 0;

  Tokenizer build() const {
    GgufWriter writer;
    writer.set("general.architecture", std::string("llama"));
    writer.set("tokenizer.ggml.model", model);
    if (!pre.empty()) writer.set("tokenizer.ggml.pre", pre);
    if (!tokens.empty()) writer.set_strings("tokenizer.ggml.tokens", tokens);
    if (!merges.empty()) writer.set_strings("tokenizer.ggml.merges", merges);
    if (!scores.empty()) writer.set_array("tokenizer.ggml.scores", Scalars(scores.begin(), scores.end()));
    if (!types.empty()) writer.set_array("tokenizer.ggml.token_type", Scalars(types.begin(), types.end()));
    writer.set("tokenizer.ggml.bos_token_id", bos);
    const std::vector<std::byte> bytes = writer.bytes();
    return Tokenizer::from_gguf(formats::GgufFile::parse(bytes));
  }

  std::string refusal() const {
    try {
      build();
      return "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
      return error.detail();
    }
  }
};

TEST(HostileVocab, TheGoodOneIsGood) {
  const Tokenizer tokenizer = Vocab().build();
  EXPECT_EQ(tokenizer.encode("ab b", false), (std::vector<std::int32_t>{3, 4, 2}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("<s>ab b", true), false), "<s>ab b");
}

TEST(HostileVocab, IsRefusedByNameOfWhatIsWrong) {
  Vocab v;
  v.model = "rwkv";
  EXPECT_EQ(v.refusal(), "tokenizer.ggml.model 'rwkv' is not supported (supported: gpt2, llama, gemma4, bert, t5)");
  v = {};
  v.pre = "next-year";
  EXPECT_EQ(v.refusal(), "tokenizer.ggml.pre 'next-year' is not supported");
  v = {};
  v.tokens.clear();
  EXPECT_EQ(v.refusal(), "the vocabulary is empty");
  v = {};
  v.tokens[4] = "a";
  EXPECT_EQ(v.refusal(), "tokens 1 and 4 have the same text");
  v = {};
  v.tokens[4] = "\xff";
  EXPECT_NE(v.refusal(), "accepted");
  v = {};
  v.merges = {"ab"};
  EXPECT_EQ(v.refusal(), "merge 0 is not two tokens");
  v = {};
  v.merges = {"a x"};
  EXPECT_NE(v.refusal(), "accepted");
  v = {};
  v.merges = {"b a"};
  EXPECT_NE(v.refusal(), "accepted");
  v = {};
  v.types = {3, 1};
  EXPECT_EQ(v.refusal(), "the vocabulary has 5 tokens but 2 types");
  v = {};
  v.types[1] = -7;
  EXPECT_EQ(v.refusal(), "tokenizer.ggml.token_type is out of range");
  v = {};
  v.bos = 5;
  EXPECT_EQ(v.refusal(), "the bos token is outside the vocabulary of 5 tokens");
  v = {};
  v.bos = 0x80000000U;
  EXPECT_EQ(v.refusal(), "tokenizer.ggml.bos_token_id is out of range");
  v = {};
  v.model = "llama";
  EXPECT_EQ(v.refusal(), "a vocabulary of model 'llama' needs tokenizer.ggml.scores");
  v.scores = {0, 0, 0, 0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(v.refusal(), "the score of token 4 is not a number");
  v.scores = {0, 0, 0, 0, 0};
  v.tokens[4] = std::string(100000, 'a');
  EXPECT_EQ(v.refusal(), "token 4 of 100000 bytes is too long");
}

TEST(HostileVocab, WithoutMergesOrByteTokensStillAnswers) {
  Vocab v;
  v.merges.clear();
  EXPECT_EQ(v.build().encode("ab", false), (std::vector<std::int32_t>{1, 2}));
  v.model = "llama";
  v.scores = {0, 0, 0, 0, 0};
  const Tokenizer tokenizer = v.build();
  tokenizer.encode("abc \xF0\x9F\x98\x80", true);
}

TEST(HostileJson, CutsAndFlipsAreErrorsOrTokenizers) {
  std::mt19937_64 random(3);
  for (const std::string name : {"bpe_llama-bpe", "spm_prefix", "unigram", "wordpiece"}) {
    const std::string good = read_golden("text_tokenizers/" + name + "/tokenizer.json");
    int errors = 0;
    for (int round = 0; round < 75; round++) {
      std::string bad = good;
      if (round % 3 == 0) {
        bad.resize(random() % bad.size());
      } else {
        // Half of them near the front, where the pipeline stands and not the vocabulary.
        const std::size_t range = round % 2 == 0 ? bad.size() : std::min<std::size_t>(2500, bad.size());
        for (int flips = 0; flips < 3; flips++) bad[random() % range] = static_cast<char>(random() % 128);
      }
      try {
        const Tokenizer tokenizer = Tokenizer::from_json(bad);
        const auto ids = tokenizer.encode("Some text, 12 <s> \xF0\x9F\x98\x80!", true);
        tokenizer.decode(ids, true);
        StreamDecoder stream(tokenizer);
        for (const std::int32_t id : ids) stream.push(id);
        stream.finish();
      } catch (const Error&) {
        errors++;
      }
    }
    EXPECT_GT(errors, 10);
  }
}

TEST(HostileJson, IsRefused) {
  const std::string head = R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,)"
                           R"("pre_tokenizer":null,"post_processor":null,"decoder":null,"model":)";
  const std::string deep = std::string(200000, '[');
  for (const std::string& text : {
           std::string(),
           std::string("null"),
           std::string("[]"),
           deep,
           "{\"a\":" + deep,
           head + R"({"type":"BPE","vocab":{},"merges":[]}})",
           head + R"({"type":"BPE","vocab":{"a":4294967295},"merges":[]}})",
           head + R"({"type":"BPE","vocab":{"a":99999999999},"merges":[]}})",
           head + R"({"type":"BPE","vocab":{"a":0},"merges":["a b"]}})",
           head + R"({"type":"BPE","vocab":{"a":0},"merges":[["a","a"]],"continuing_subword_prefix":"####"}})",
           head + R"({"type":"Nothing"}})",
           head + R"({"type":"Unigram","unk_id":7,"vocab":[["a",0]]}})",
       }) {
    EXPECT_THROW(Tokenizer::from_json(text), Error) << text.substr(0, 300);
  }
  EXPECT_THROW(Tokenizer::from_json(read_golden("text_tokenizers/wordpiece/tokenizer.json"), "{"), Error);
}

/// A tokenizer.json of a few letters with this normalizer, pre-tokenizer, decoder and model.
std::string json_with(const std::string& normalizer, const std::string& pre_tokenizer, const std::string& decoder,
                      const std::string& model = R"({"type":"WordLevel","unk_token":"?","vocab":{"?":0,"a":1}})") {
  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"post_processor":null,"normalizer":)" +
         normalizer + R"(,"pre_tokenizer":)" + pre_tokenizer + R"(,"decoder":)" + decoder + R"(,"model":)" + model +
         "}";
}

std::string refusal_of(const std::string& json) {
  const auto start = std::chrono::steady_clock::now();
  try {
    Tokenizer::from_json(json);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model_unavailable) << error.detail();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
    return error.detail();
  }
}

TEST(HostileJson, PatternsThatNeverEndAreRefused) {
  const std::string slow = "the tokenizer takes too long over a short text";
  for (const std::string pattern : {R"((a+)+$)", R"(([a-zA-Z]+)*\\1x)", R"((.*)(.*)(.*)(.*)(.*)(.*)x)"}) {
    const std::string split =
        R"({"type":"Split","pattern":{"Regex":")" + pattern + R"("},"behavior":"Isolated","invert":false})";
    EXPECT_EQ(refusal_of(json_with("null", split, "null")), slow) << pattern;
  }
  const std::string replace = R"({"type":"Replace","pattern":{"Regex":"(a|a)*b"},"content":"x"})";
  EXPECT_EQ(refusal_of(json_with(replace, "null", "null")), slow);
}

TEST(HostileJson, PipelinesThatFillTheMemoryAreRefused) {
  std::string steps;
  for (int i = 0; i < 12; i++) {
    steps += std::string(i == 0 ? "" : ",") + R"({"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaa"})";
  }
  const std::string normalizer = R"({"type":"Sequence","normalizers":[)" + steps + "]}";
  EXPECT_EQ(refusal_of(json_with(normalizer, "null", "null")), "the pipeline makes too much of a text");
  const std::string decoder = R"({"type":"Sequence","decoders":[)" + steps + "]}";
  EXPECT_EQ(refusal_of(json_with("null", "null", decoder)), "the pipeline makes too much of a text");
}

TEST(HostileJson, ModelsThatHangOrDifferAreRefused) {
  EXPECT_EQ(refusal_of(json_with("null", "null", "null",
                                 R"({"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"##",)"
                                 R"("max_input_chars_per_word":1000000000,"vocab":{"?":0}})")),
            "words of 1000000000 characters are too long");
  EXPECT_EQ(refusal_of(json_with("null", "null", "null",
                                 R"({"type":"BPE","dropout":0.5,"unk_token":null,"vocab":{"a":0},"merges":[]})")),
            "a tokenizer with dropout gives other ids each time");
  EXPECT_EQ(refusal_of(json_with(
                "null", "null", "null",
                R"({"type":"WordLevel","unk_token":"?","vocab":{"?":0,")" + std::string(2000, 'a') + R"(":1}})")),
            "a token of 2000 bytes is too long");
}

TEST(HostileText, OneMebibyteIsQuickWhateverItIs) {
  const auto repeated = [](std::string_view unit) {
    std::string text;
    while (text.size() < (1U << 20)) text += unit;
    return text;
  };
  std::vector<std::string> texts;
  for (const std::string_view unit : {"a", " ", "\n", " \n", "7", "!", "\xC3\xA9", "\xF0\x9F\x98\x80", "<|im_end|>",
                                      "</s>", "[MASK]", "<", "ab", "word ", "a\xCC\x81", "\xCC\x81\xCC\xA3"}) {
    texts.push_back(repeated(unit));
  }
  texts.push_back(repeated(" ") + "x");
  texts.emplace_back(1U << 20, '\0');
  std::vector<Tokenizer> tokenizers;
  tokenizers.push_back(Tokenizer::from_gguf(formats::GgufFile::open(smollm2_path())));
  for (const char* name : {"bpe_llama-bpe", "spm_prefix", "unigram", "wordpiece"})
    tokenizers.push_back(golden_json(name));
  for (std::size_t t = 0; t < tokenizers.size(); t++) {
    // The real vocabulary with every text; the small ones with every third, each with others.
    for (std::size_t i = t; i < texts.size(); i += t == 0 ? 1 : 3) {
      const std::string& text = texts[i];
      const auto start = std::chrono::steady_clock::now();
      const auto ids = tokenizers[t].encode(text, true);
      // Some tenths of a second alone on a core; what is quadratic takes hours.
      EXPECT_LT(std::chrono::steady_clock::now() - start, kSanitizerTimes * std::chrono::seconds(30))
          << text.substr(0, 12);
      EXPECT_FALSE(ids.empty());
    }
  }
}

TEST(HostileText, IsRefusedWhereItWouldBeSlowOrTooLong) {
  const std::string mask = R"({"id":0,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":false,)"
                           R"("normalized":false,"special":true})";
  const Tokenizer tokenizer =
      Tokenizer::from_json(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)" + mask +
                           R"(],"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,)"
                           R"("model":{"type":"WordLevel","unk_token":"<mask>","vocab":{"<mask>":0}}})");
  EXPECT_EQ(tokenizer.encode("  <mask> <mask>", false), (std::vector<std::int32_t>{0, 0}));
  std::string masks;
  while (masks.size() < (1U << 20)) masks += "<mask>";
  EXPECT_THROW(tokenizer.encode(masks, false), Error);
  EXPECT_THROW(tokenizer.encode(std::string(40U << 20, 'a'), false), Error);
}

}  // namespace
}  // namespace glia::text
