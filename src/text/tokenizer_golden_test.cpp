// Ids and texts against Hugging Face's (tests/golden/README_text.md).

#include <gtest/gtest.h>

#include <functional>

#include "text/golden.h"
#include "text/smollm2.h"

namespace glia::text {
namespace {

struct Case {
  std::string name;      // of the test
  std::string expected;  // folder of the golden
  std::function<Tokenizer()> make;
};

std::vector<std::int32_t> ids_of(const json::value& row) {
  std::vector<std::int32_t> ids;
  for (const json::value& id : row.as_array()) ids.push_back(json::value_to<std::int32_t>(id));
  return ids;
}

class TokenizerGolden : public ::testing::TestWithParam<Case> {};

TEST_P(TokenizerGolden, IdsAndTextsAreThoseOfHuggingFace) {
  const Tokenizer tokenizer = GetParam().make();
  const std::vector<std::string> texts = corpus();
  const json::value golden = parse_json(read_golden("text_tokenizers/" + GetParam().expected + "/expected.json"));
  const json::array& rows = golden.at("ids").as_array();
  const json::object& decoded = golden.at("decoded").as_object();
  ASSERT_EQ(rows.size(), texts.size());
  ASSERT_GE(texts.size(), 200U);
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
  const std::string special_texts[] = {texts[0], texts[1], texts[2], "", "<s>x</s>"};
  const json::array& with_special = golden.at("with_special").as_array();
  for (std::size_t i = 0; i < std::size(special_texts); i++) {
    EXPECT_EQ(tokenizer.encode(special_texts[i], true), ids_of(with_special.at(i))) << special_texts[i];
  }
}

std::vector<Case> cases() {
  std::vector<Case> all = {
      {"smollm2_gguf", "smollm2", [] { return Tokenizer::from_gguf(formats::GgufFile::open(smollm2_path())); }}};
  for (const std::string name :
       {"bpe_gpt-2", "bpe_smollm", "bpe_llama-bpe", "bpe_qwen2", "bpe_default", "spm_prefix", "spm_bare"}) {
    all.push_back({name + "_json", name, [name] { return golden_json(name); }});
    all.push_back({name + "_gguf", name, [name] { return golden_gguf(name); }});
  }
  for (const std::string name : {"unigram", "wordpiece"}) {
    all.push_back({name + "_json", name, [name] { return golden_json(name); }});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace glia::text
