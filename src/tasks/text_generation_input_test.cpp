#include "tasks/text_generation_input.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "catalog/catalog.h"

namespace glia::tasks {
namespace {

/// Through the schema first, as a run does.
TextGenerationInput read(std::string_view text, std::string_view id = "@cf/meta/llama-3.1-8b-instruct") {
  static const auto kCatalog = catalog::Catalog::load();
  auto inputs = parse_json(text).as_object();
  const bool given = inputs.contains("max_tokens");
  std::vector<std::string> unknown;
  const auto violation = kCatalog.validate(*kCatalog.find(id), inputs, unknown);
  if (violation) throw Error(ErrorCode::invalid_input, "schema: " + catalog::describe(*violation));
  return read_text_generation(std::move(inputs), given);
}

std::string refusal(std::string_view text) {
  try {
    read(text);
  } catch (const Error& e) {
    return std::string(error_name(e.code())) + (e.detail().empty() ? "" : ": " + e.detail());
  }
  return "accepted";
}

std::string with(std::string_view field) { return R"({"prompt":"hi",)" + std::string(field) + "}"; }

TEST(TextGenerationInput, ABarePromptIsOneUserMessageUnlessRaw) {
  EXPECT_EQ(json::serialize(read(R"({"prompt":"hi"})").messages), R"([{"role":"user","content":"hi"}])");
  const auto raw = read(R"({"prompt":"hi","raw":true})");
  EXPECT_EQ(raw.raw_prompt, "hi");
  EXPECT_TRUE(raw.messages.empty());
}

TEST(TextGenerationInput, PartsBecomeOneTextAndOtherFieldsStay) {
  const auto in =
      read(R"({"messages":[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"user","name":"eve","content":"c"},{"role":"assistant","content":null,"tool_calls":[]}]})");
  EXPECT_EQ(json::serialize(in.messages),
            R"([{"role":"system","content":"a\nb"},{"role":"user","name":"eve","content":"c"},)"
            R"({"role":"assistant","content":""}])");
}

TEST(TextGenerationInput, SamplingAsTheServiceDocumentsIt) {
  const auto plain = read(R"({"prompt":"hi"})");
  EXPECT_FLOAT_EQ(plain.sampling.temperature, 0.6F);
  EXPECT_EQ(plain.sampling.top_k, 0);
  EXPECT_FLOAT_EQ(plain.sampling.top_p, 1);
  EXPECT_FLOAT_EQ(plain.sampling.repetition_penalty, 1);
  EXPECT_FALSE(plain.sampling.seed);
  EXPECT_EQ(plain.max_tokens, 256);
  EXPECT_FALSE(plain.max_tokens_given);
  const auto all = read(with(R"("temperature":0,"top_k":40,"top_p":0.9,"min_p":0.05,"seed":9999999999,"max_tokens":7,
    "repetition_penalty":1.1,"frequency_penalty":0.5,"presence_penalty":0.25,"stop":["a","b"])"));
  EXPECT_EQ(all.sampling.temperature, 0);
  EXPECT_EQ(all.sampling.top_k, 40);
  EXPECT_FLOAT_EQ(all.sampling.top_p, 0.9F);
  EXPECT_FLOAT_EQ(all.sampling.min_p, 0.05F);
  EXPECT_EQ(all.sampling.seed, 9999999999U);
  EXPECT_FLOAT_EQ(all.sampling.repetition_penalty, 1.1F);
  EXPECT_FLOAT_EQ(all.sampling.frequency_penalty, 0.5F);
  EXPECT_FLOAT_EQ(all.sampling.presence_penalty, 0.25F);
  EXPECT_EQ(all.max_tokens, 7);
  EXPECT_TRUE(all.max_tokens_given);
  EXPECT_EQ(all.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(read(with(R"("stop":"x")")).stop, (std::vector<std::string>{"x"}));
  EXPECT_FLOAT_EQ(read(with(R"("top_p":2)")).sampling.top_p, 1) << "all of it";
  EXPECT_FLOAT_EQ(read(with(R"("repetition_penalty":0)")).sampling.repetition_penalty, 1) << "off";
}

TEST(TextGenerationInput, WhatOpenAiShapedModelsTakeBesides) {
  constexpr std::string_view kId = "@cf/zai-org/glm-5.3-flash";
  const auto in = read(with(R"("max_tokens":9,"max_completion_tokens":7,"seed":-1,"frequency_penalty":-1.5)"), kId);
  EXPECT_EQ(in.max_tokens, 7);
  EXPECT_TRUE(in.max_tokens_given);
  EXPECT_EQ(in.sampling.seed, UINT64_MAX);
  EXPECT_FLOAT_EQ(in.sampling.frequency_penalty, -1.5F);
  EXPECT_TRUE(read(with(R"("max_completion_tokens":7)"), kId).max_tokens_given);
  EXPECT_FALSE(read(with(R"("max_completion_tokens":null)"), kId).max_tokens_given);
}

TEST(TextGenerationInput, AnAbsurdNumberOfTokensIsJustMany) {
  EXPECT_EQ(read(with(R"("max_tokens":1e300)")).max_tokens, INT64_MAX);
  EXPECT_EQ(read(with(R"("max_tokens":18446744073709551615)")).max_tokens, INT64_MAX);
  EXPECT_EQ(read(with(R"("max_tokens":7.0)")).max_tokens, 7);
}

TEST(TextGenerationInput, WhatIsNotServedIsRefusedByName) {
  EXPECT_EQ(refusal(with(R"("lora":"my-adapter")")), "lora_unsupported");
  EXPECT_NE(refusal(with(R"("tools":[{"name":"f"}])")).find("invalid_input: tools: "), std::string::npos);
  EXPECT_NE(refusal(with(R"("functions":[{"name":"f","code":"x"}])")).find("invalid_input: functions: "),
            std::string::npos);
  EXPECT_NE(refusal(with(R"("guided_json":{"type":"object"})")).find("invalid_input: guided_json: "),
            std::string::npos);
  EXPECT_NE(refusal(with(R"("response_format":{"type":"json_object"})")).find("invalid_input: response_format.type: "),
            std::string::npos);
  EXPECT_NE(refusal(R"({"messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}]})")
                .find("invalid_input: messages[0].tool_calls: "),
            std::string::npos);
  EXPECT_NE(refusal(R"({"messages":[{"role":"user","content":"a"},{"role":"tool","content":"3"}]})")
                .find("invalid_input: messages[1].role: "),
            std::string::npos);
  EXPECT_EQ(refusal(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
              {"type":"image_url","image_url":{"url":"data:,"}}]}]})"),
            "invalid_input: messages[0].content[1].type: this model takes text only, no pictures, sound or files");
}

TEST(TextGenerationInput, WhatAsksForNothingIsFine) {
  EXPECT_EQ(
      refusal(with(R"("tools":[],"functions":[],"guided_json":null,"response_format":{"type":"text"},"lora":"")")),
      "accepted");
}

}  // namespace
}  // namespace glia::tasks
