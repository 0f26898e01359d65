// Ids and texts against Hugging Face's (tests/golden/README_text.md).

#include <gtest/gtest.h>

#include <functional>

#include "text/golden.h"
#include "text/stored_weights.h"

namespace glia::text {
namespace {

struct Case {
  std::string name;      // of the test
  std::string expected;  // folder of the golden
  std::function<Tokenizer()> make;
};

/// Vocabularies that are published, trimmed; the ids are their publishers' (text_published_golden.py).
const char* const kPublished[] = {"gpt-2", "mpt", "falcon", "qwen2", "deepseek-coder", "phi-3", "gemma-4", "bert-bge"};

std::vector<std::int32_t> ids_of(const json::value& row) {
  std::vector<std::int32_t> ids;
  for (const json::value& id : row.as_array()) ids.push_back(json::value_to<std::int32_t>(id));
  return ids;
}

class TokenizerGolden : public ::testing::TestWithParam<Case> {};

TEST_P(TokenizerGolden, IdsAndTextsAreThoseOfHuggingFace) {
  const Tokenizer tokenizer = GetParam().make();
  const json::value golden = parse_json(read_golden("text_tokenizers/" + GetParam().expected + "/expected.json"));
  const std::vector<std::string> texts = corpus(golden.as_object());
  const json::array& rows = golden.at("ids").as_array();
  const json::object& decoded = golden.at("decoded").as_object();
  ASSERT_EQ(rows.size(), texts.size());
  ASSERT_GE(texts.size(), 120U);
  for (std::size_t i = 0; i < texts.size(); i++) {
    const std::vector<std::int32_t> ids = tokenizer.encode(texts[i], false);
    EXPECT_EQ(ids, ids_of(rows[i])) << "text " << i << ": " << texts[i];
    const json::value* other = decoded.if_contains(std::to_string(i));
    for (const auto& [key, skip] : {std::pair{"keep", false}, std::pair{"skip", true}}) {
      const json::value* text = other == nullptr ? nullptr : other->as_object().if_contains(key);
      EXPECT_EQ(tokenizer.decode(ids, skip), text == nullptr ? texts[i] : std::string(text->as_string()))
          << "text " << i;
    }
  }
  const std::vector<std::string> all = corpus();
  const std::string special_texts[] = {all[0], all[1], all[2], "", "<s>x</s>"};
  const json::array& with_special = golden.at("with_special").as_array();
  for (std::size_t i = 0; i < std::size(special_texts); i++) {
    EXPECT_EQ(tokenizer.encode(special_texts[i], true), ids_of(with_special.at(i))) << special_texts[i];
  }
}

TEST(PublishedTokenizers, GiveTheirPublishersIds) {
  for (const std::string name : kPublished) {
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = golden_gguf("published_" + name);
    const json::value golden = parse_json(read_golden("text_tokenizers/published_" + name + "/expected.json"));
    const json::array& texts = golden.at("texts").as_array();
    ASSERT_GE(texts.size(), 45U);
    for (std::size_t i = 0; i < texts.size(); i++) {
      const std::string text(texts[i].as_string());
      EXPECT_EQ(tokenizer.encode(text, false), ids_of(golden.at("ids").at(i))) << text;
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"smollm2_gguf", "smollm2", [] { return Tokenizer::from_gguf(formats::GgufFile::open(smollm2_path())); }}};
  for (const std::string name :
       {"bpe_gpt-2", "bpe_smollm", "bpe_llama-bpe", "bpe_qwen2", "bpe_default", "bpe_dbrx", "bpe_stablelm2",
        "bpe_tekken", "bpe_gpt-4o", "bpe_kimi-k2", "bpe_olmo", "bpe_command-r", "bpe_falcon", "bpe_deepseek-coder",
        "bpe_deepseek-v3", "spm_prefix", "spm_bare", "wordpiece", "unigram_words"}) {
    all.push_back({name + "_json", name, [name] { return golden_json(name); }});
    all.push_back({name + "_gguf", name, [name] { return golden_gguf(name); }});
  }
  all.push_back({"unigram_json", "unigram", [] { return golden_json("unigram"); }});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace glia::text
