#include "api/openai/chat_request.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::api {
namespace {

OpenAiRequest read(std::string_view extra) {
  const std::string text = R"({"model":"m","messages":[{"role":"user","content":"x"}])" + std::string(extra) + "}";
  return read_chat_request(parse_json(text).as_object());
}

std::string refusal(std::string_view extra) {
  try {
    read(extra);
  } catch (const Error& e) {
    return e.detail();
  }
  return "accepted";
}

TEST(ChatRequest, PassesOnWhatTextGenerationKnows) {
  const OpenAiRequest r = read(R"(,"max_tokens":5,"max_completion_tokens":7,"temperature":0.1,"stop":["a"],"top_k":3,
                              "seed":4,"stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.inputs.at("max_tokens"), 7) << "the newer name wins";
  EXPECT_EQ(r.inputs.at("seed"), 4);
  EXPECT_EQ(r.inputs.at("top_k"), 3);
  EXPECT_TRUE(r.stream);
  EXPECT_TRUE(r.include_usage);
  EXPECT_FALSE(r.inputs.contains("stream_options"));
  EXPECT_FALSE(r.inputs.contains("model"));
}

TEST(ChatRequest, FoldsSeedsIntoTheCataloguesRange) {
  EXPECT_EQ(read(R"(,"seed":9999999999)").inputs.at("seed").to_number<std::uint64_t>(), 9'999'999'999u);
  for (const char* seed : {"0", "-1", "10000000000", "-9223372036854775808", "18446744073709551615"}) {
    const auto value = read(R"(,"seed":)" + std::string(seed)).inputs.at("seed").to_number<std::uint64_t>();
    EXPECT_GE(value, 1u) << seed;
    EXPECT_LE(value, 9'999'999'999u) << seed;
  }
  EXPECT_EQ(read(R"(,"seed":"x")").inputs.at("seed"), "x") << "the schema says what is wrong";
}

TEST(ChatRequest, NullsAndNeutralValuesAskForNothing) {
  const OpenAiRequest r =
      read(R"(,"tools":null,"n":1,"logprobs":false,"top_logprobs":0,"stop":null,"function_call":"none",
                              "max_tokens":null,"max_completion_tokens":null,"parallel_tool_calls":true)");
  EXPECT_EQ(r.inputs.size(), 1u) << "messages alone";
}

TEST(ChatRequest, RefusesByNameWhatWouldChangeTheAnswer) {
  for (const char* extra :
       {R"(,"tools":[{}])", R"(,"tool_choice":"required")", R"(,"n":3)", R"(,"logprobs":true)", R"(,"top_logprobs":2)",
        R"(,"logit_bias":{"1":2})", R"(,"modalities":["text","audio"])", R"(,"reasoning_effort":"high")",
        R"(,"audio":{"voice":"x"})", R"(,"tool_choice":{"type":"function"})"}) {
    const std::string why = refusal(extra);
    const std::string name = std::string(extra).substr(2, std::string(extra).find("\":") - 2);
    EXPECT_TRUE(why.starts_with(name + ": ")) << extra << " → " << why;
  }
}

TEST(ChatRequest, LeavesUnknownOnesToTheRunnerWhichNamesThem) {
  EXPECT_TRUE(read(R"(,"temprature":1)").inputs.contains("temprature"));
  EXPECT_EQ(read(R"(,"stream_options":{"colour":1})").notes.size(), 1u);
}

TEST(ChatRequest, DeveloperIsTheSystem) {
  const auto r = read_chat_request(
      parse_json(R"({"model":"m","messages":[{"role":"developer","content":"x"},5,{"role":1}]})").as_object());
  EXPECT_EQ(r.inputs.at("messages").at(0).at("role"), "system");
}

}  // namespace
}  // namespace glia::api
