// Texts and pairs as an encoder reads them: ids, types and cuts are those of transformers
// (tests/golden/make_minilm.py).
#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/safetensors.h"
#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

std::vector<std::int32_t> ints(const json::value& list) {
  std::vector<std::int32_t> out;
  for (const json::value& value : list.as_array()) out.push_back(json::value_to<std::int32_t>(value));
  return out;
}

Tokenizer minilm() {
  const auto folder = formats::HfFolder::open(minilm_path());
  return Tokenizer::from_json(folder.text_file("tokenizer.json").value(),
                              folder.text_file("tokenizer_config.json").value());
}

TEST(Encoding, IsThatOfTransformers) {
  const Tokenizer tokenizer = minilm();
  const json::value golden = parse_json(read_golden("minilm/tokens.json"));
  ASSERT_GE(golden.as_array().size(), 40U);
  for (const json::value& row : golden.as_array()) {
    const std::string text(row.at("text").as_string());
    const auto most = json::value_to<std::size_t>(row.at("most"));
    const Encoding got = row.at("pair").is_null()
                             ? tokenizer.encode_text(text, most)
                             : tokenizer.encode_pair(text, std::string(row.at("pair").as_string()), most);
    EXPECT_EQ(got.ids, ints(row.at("ids"))) << text << ", " << most;
    EXPECT_EQ(got.types, ints(row.at("types"))) << text << ", " << most;
    EXPECT_EQ(got.dropped, row.at("dropped").as_int64()) << text << ", " << most;
  }
}

TEST(Encoding, RefusesWhatHasNoRoom) {
  const Tokenizer tokenizer = minilm();
  for (const std::size_t most : {0U, 1U, 2U}) {
    try {
      tokenizer.encode_text("a text", most);
      ADD_FAILURE() << most;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_input);
    }
  }
  EXPECT_EQ(tokenizer.encode_text("a text", 3).ids.size(), 3U);
  EXPECT_THROW(tokenizer.encode_pair("a", "b", 3), Error);
  EXPECT_EQ(tokenizer.encode_pair("a", "b", 4).ids.size(), 4U);
  EXPECT_THROW(tokenizer.encode_text("\xFF", 16), Error);
  EXPECT_THROW(tokenizer.encode_pair("a", "\xC3", 16), Error);
}

/// Without a post-processor nothing is added, and the second text still has a type of its own or none.
TEST(Encoding, OfATokenizerWithoutSpecialTokens) {
  const Tokenizer tokenizer = golden_json("bpe_gpt-2");
  const auto whole = tokenizer.encode("one two three", false);
  const Encoding one = tokenizer.encode_text("one two three", 2);
  EXPECT_EQ(one.ids, (std::vector<std::int32_t>{whole[0], whole[1]}));
  EXPECT_EQ(one.dropped, static_cast<std::int64_t>(whole.size()) - 2);
  const Encoding pair = tokenizer.encode_pair("one two", " three", 100);
  EXPECT_EQ(pair.ids, tokenizer.encode("one two three", false));
  EXPECT_EQ(pair.ids.size(), pair.types.size());
}

}  // namespace
}  // namespace glia::text
