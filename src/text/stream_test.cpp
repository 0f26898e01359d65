// The pieces of a stream joined are the whole decoded at once, and no piece ends inside a character.

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

std::string streamed(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids, bool skip_special) {
  StreamDecoder stream(tokenizer, skip_special);
  std::string text;
  for (const std::int32_t id : ids) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(first_invalid_utf8(piece), std::string::npos);
    text += piece;
  }
  const std::string last = stream.finish();
  EXPECT_EQ(first_invalid_utf8(last), std::string::npos);
  EXPECT_EQ(stream.finish(), "");
  return text + last;
}

void expect_equal(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  for (const bool skip : {false, true}) {
    ASSERT_EQ(streamed(tokenizer, ids, skip), tokenizer.decode(ids, skip)) << ::testing::PrintToString(ids);
  }
}

class StreamOf : public ::testing::TestWithParam<std::string> {
 protected:
  static Tokenizer make() {
    if (GetParam() == "smollm2") return Tokenizer::from_gguf(formats::GgufFile::open(smollm2_path()));
    return GetParam().starts_with("published_") ? golden_gguf(GetParam()) : golden_json(GetParam());
  }
};

TEST_P(StreamOf, EqualsDecodeOverTheCorpus) {
  const Tokenizer tokenizer = make();
  for (const std::string& text : corpus()) expect_equal(tokenizer, tokenizer.encode(text, true));
}

TEST_P(StreamOf, EqualsDecodeOverRandomIds) {
  const Tokenizer tokenizer = make();
  std::mt19937_64 random(7);
  for (int round = 0; round < 400; round++) {
    std::vector<std::int32_t> ids(1 + random() % 40);
    // Low ids are special tokens and bytes; ids past the end have no text.
    const auto range = static_cast<std::uint64_t>(round % 3 == 0 ? 300 : tokenizer.vocab_size() + 3);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % range);
    expect_equal(tokenizer, ids);
  }
}

INSTANTIATE_TEST_SUITE_P(All, StreamOf,
                         ::testing::Values("smollm2", "bpe_llama-bpe", "bpe_tekken", "bpe_falcon", "spm_prefix",
                                           "spm_bare", "unigram", "unigram_words", "wordpiece", "published_gpt-2",
                                           "published_qwen2", "published_deepseek-coder", "published_phi-3",
                                           "published_gemma-4", "published_bert-bge"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

/// A vocabulary of words under any decoder, as tokenizer.json.
Tokenizer with_decoder(const std::string& decoder) {
  const std::string words[] = {" a",     "b ",     "  ",     "x y",    "</w>", "c</w>",  "##d",
                               "▁e▁",    "▁",      "xx",     "x",      "y",    "<0xE2>", "<0x82>",
                               "<0xAC>", "<0x41>", "<0xFF>", "<0x+1>", "|",    "<p>",    "ab"};
  json::object vocab;
  for (const std::string& word : words) vocab[word] = vocab.size();
  return Tokenizer::from_json(R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
    "pre_tokenizer":null,"post_processor":null,"decoder":)" +
                              decoder + R"(,"model":{"type":"WordLevel","unk_token":"x","vocab":)" +
                              json::serialize(vocab) + "}}");
}

TEST(Stream, EqualsDecodeUnderEveryDecoder) {
  const std::string replace = R"({"type":"Replace","pattern":{"String":"x y"},"content":"Z"})";
  const std::string by_regex = R"({"type":"Replace","pattern":{"Regex":"a.b"},"content":"-"})";
  const std::string fuse = R"({"type":"Fuse"})";
  const std::string bytes = R"({"type":"ByteFallback"})";
  const auto sequence = [](const std::string& steps) { return R"({"type":"Sequence","decoders":[)" + steps + "]}"; };
  const std::string decoders[] = {
      "null",
      replace,
      by_regex,
      fuse,
      bytes,
      R"({"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true})",
      R"({"type":"WordPiece","prefix":"##","cleanup":true})",
      R"({"type":"BPEDecoder","suffix":"</w>"})",
      R"({"type":"CTC","pad_token":"<p>","word_delimiter_token":"|","cleanup":true})",
      R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true})",
      R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"never","split":true})",
      R"({"type":"Strip","content":" ","start":1,"stop":0})",
      sequence(fuse + "," + replace),
      sequence(fuse + "," + by_regex),
      sequence(bytes + "," + fuse + R"(,{"type":"Strip","content":" ","start":2,"stop":0})"),
      sequence(fuse + R"(,{"type":"Strip","content":"x","start":1,"stop":2},)" + replace),
      sequence(fuse + "," + bytes),
      sequence(sequence(bytes + "," + fuse) + "," + fuse + R"(,{"type":"WordPiece","prefix":"##","cleanup":true})"),
      sequence(R"({"type":"BPEDecoder","suffix":"</w>"},)" + fuse + "," + replace),
  };
  std::mt19937_64 random(11);
  for (const std::string& decoder : decoders) {
    SCOPED_TRACE(decoder);
    const Tokenizer tokenizer = with_decoder(decoder);
    for (int round = 0; round < 300; round++) {
      // "ab" and others first: Strip with a stop is only defined for texts that are longer than it.
      std::vector<std::int32_t> ids = {20, 3, 1};
      for (std::uint64_t n = random() % 12; n > 0; n--) ids.push_back(static_cast<std::int32_t>(random() % 21));
      expect_equal(tokenizer, ids);
    }
  }
}

}  // namespace
}  // namespace glia::text
