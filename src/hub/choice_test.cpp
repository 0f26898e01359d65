#include "hub/choice.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::hub {
namespace {

using Names = std::vector<std::string>;

std::string refusal(const Names& names, std::string_view wanted) {
  try {
    choose_files(names, wanted);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
    return error.detail();
  }
  return "";
}

TEST(Choice, SafetensorsWithTheirCompanions) {
  const auto c = choose_files(
      {".gitattributes", "LICENSE.txt", "README.md", "config.json", "generation_config.json",
       "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
       "original/consolidated.00.pth", "original/params.json", "pytorch_model.bin", "special_tokens_map.json",
       "tokenizer.json", "chat_template.jinja", "gemma-2b-it.gguf", "consolidated.safetensors", "onnx/model.onnx"},
      "");
  EXPECT_EQ(c.gguf, "");
  EXPECT_EQ(c.files, (Names{"LICENSE.txt", "config.json", "generation_config.json", "model-00001-of-00002.safetensors",
                            "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                            "special_tokens_map.json", "tokenizer.json", "chat_template.jinja"}));
}

TEST(Choice, OneFileOfWeightsIsNotTakenTwice) {
  const auto c = choose_files({"config.json", "model.safetensors", "model.safetensors.index.json",
                               "model-00001-of-00001.safetensors", "model.fp16.safetensors", "1_Pooling/config.json"},
                              "");
  EXPECT_EQ(c.files, (Names{"config.json", "model.safetensors", "1_Pooling/config.json"}));
}

TEST(Choice, TheModulesOfAnEmbeddingModel) {
  const auto c = choose_files(
      {"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin",
       "3_Dense/model.safetensors", "config.json", "config_sentence_transformers.json", "model.safetensors",
       "modules.json", "old/1_Pooling/config.json", "onnx/model.safetensors"},
      "");
  EXPECT_EQ(c.files, (Names{"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors",
                            "3_Dense/model.safetensors", "config.json", "config_sentence_transformers.json",
                            "model.safetensors", "modules.json"}));
}

TEST(Choice, AGgufByQuantisationOrName) {
  const Names names{"README.md",      "m-Q4_K_M.gguf", "m-Q8_0.gguf", "m-IQ2_XXS.gguf",      "mmproj-m-Q8_0.gguf",
                    "m.imatrix.gguf", "m-f16.gguf",    "config.json", "UD/m-UD-Q2_K_XL.gguf"};
  EXPECT_EQ(choose_files(names, "Q8_0").gguf, "m-Q8_0.gguf");
  EXPECT_EQ(choose_files(names, "q4_k_m").files, (Names{"m-Q4_K_M.gguf"}));
  EXPECT_EQ(choose_files(names, "F16").gguf, "m-f16.gguf");
  EXPECT_EQ(choose_files(names, "UD-Q2_K_XL").gguf, "UD/m-UD-Q2_K_XL.gguf");
  EXPECT_EQ(choose_files(names, "m-IQ2_XXS.gguf").gguf, "m-IQ2_XXS.gguf");
  EXPECT_EQ(choose_files(names, "").gguf, "m-Q4_K_M.gguf") << "the first of the preferred";
  EXPECT_EQ(refusal(names, "Q3_K_L"), "there is no GGUF Q3_K_L; there are UD-Q2_K_XL, IQ2_XXS, Q4_K_M, Q8_0, F16");
  EXPECT_EQ(choose_files({"only.gguf", "README.md"}, "").gguf, "only.gguf");
}

TEST(Choice, ASplitGgufIsOne) {
  const Names names{"Q8_0/m-Q8_0-00002-of-00002.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf", "m-Q2_K.gguf"};
  const auto c = choose_files(names, "Q8_0");
  EXPECT_EQ(c.gguf, "Q8_0/m-Q8_0-00001-of-00002.gguf");
  EXPECT_EQ(c.files, (Names{"Q8_0/m-Q8_0-00002-of-00002.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf"}));
}

TEST(Choice, SaysWhatThereIsInstead) {
  EXPECT_EQ(refusal({"pytorch_model.bin", "config.json"}, ""), "there are no weights as safetensors or GGUF");
  EXPECT_EQ(refusal({"model.safetensors.index.json"}, ""), "there are no weights as safetensors or GGUF");
  EXPECT_EQ(refusal({"config.json"}, "Q4_0"), "there is no GGUF Q4_0; there is none");
  EXPECT_EQ(refusal({"a.gguf", "b.gguf"}, ""), "say which GGUF after a colon: there are a.gguf, b.gguf");
  EXPECT_EQ(refusal({}, ""), "there are no weights as safetensors or GGUF");
}

TEST(Choice, Quantisations) {
  EXPECT_EQ(quantisation_of("SmolLM2-135M-Instruct.Q4_1.gguf"), "Q4_1");
  EXPECT_EQ(quantisation_of("Llama-3.2-1B-Instruct-IQ3_M.gguf"), "IQ3_M");
  EXPECT_EQ(quantisation_of("gpt-oss-20b-mxfp4.gguf"), "MXFP4");
  EXPECT_EQ(quantisation_of("x-BF16-00001-of-00003.gguf"), "BF16");
  EXPECT_EQ(quantisation_of("Q8_0/Q4_0.GGUF"), "Q4_0");
  EXPECT_EQ(quantisation_of("x-Q4_0-#-OF-00003.gguf"), "Q4_0");
  EXPECT_EQ(quantisation_of("x-Q4_0-1-of-.gguf"), "");
  EXPECT_EQ(quantisation_of("x-Q4_0--of-3.gguf"), "");
  EXPECT_EQ(quantisation_of("x-Q4_0-1of-3.gguf"), "");
  EXPECT_EQ(quantisation_of("-of-3.gguf"), "");
  EXPECT_EQ(quantisation_of("3.gguf"), "");
  EXPECT_EQ(quantisation_of(".gguf"), "");
  EXPECT_EQ(quantisation_of("model.gguf"), "");
  EXPECT_EQ(quantisation_of("Q4_0"), "");
}

// A split file's parts have five digits and one count.
TEST(Choice, WhatIsNoPartIsAFileOfItsOwn) {
  const Names names{"m-Q4_0-0001-of-0002.gguf", "m-Q4_0-00002-of-00002.gguf", "M-Q8_0-00001-OF-00002.GGUF",
                    "M-Q8_0-00002-OF-00002.GGUF"};
  EXPECT_EQ(choose_files(names, "Q8_0").files, (Names{names[2], names[3]}));
  EXPECT_EQ(choose_files(names, "m-Q4_0-0001-of-0002.gguf").files, (Names{names[0]}));
  EXPECT_EQ(refusal({"model.safetensors.index.json", "Model-00001-of-00001.safetensors"}, ""),
            "there are no weights as safetensors or GGUF");
}

// What a stranger's repository may list.
TEST(Choice, NamesOfAMegabyte) {
  constexpr std::size_t kLong = std::size_t{1} << 20;
  Names names{"config.json", "m-Q4_0.gguf", std::string(kLong, '9') + "-of-00002.gguf",
              "model-" + std::string(kLong, '0') + ".safetensors", std::string(kLong, '/')};
  std::string ragged;
  while (ragged.size() < kLong) ragged += "_Q8_A-00001-of-00002";
  names.push_back(ragged + ".gguf");
  names.push_back(ragged + "-UD-Q5_K_M-00001-of-00001.gguf");
  EXPECT_EQ(choose_files(names, "").files, (Names{"m-Q4_0.gguf"}));
  EXPECT_EQ(choose_files(names, "UD-Q5_K_M").gguf, names.back());
  EXPECT_EQ(choose_files(names, names.back()).gguf, names.back());
}

}  // namespace
}  // namespace glia::hub
