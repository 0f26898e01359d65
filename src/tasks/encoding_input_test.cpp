#include "tasks/encoding_input.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::tasks {
namespace {

const catalog::Catalog& the_catalog() {
  static const catalog::Catalog catalog = catalog::Catalog::load();
  return catalog;
}

EncodingInput read(std::string_view id, std::string_view inputs) {
  const auto& entry = *the_catalog().find(id);
  json::object object = parse_json(inputs).as_object();
  std::vector<std::string> unused;
  const auto violation = the_catalog().validate(entry, object, unused);
  EXPECT_FALSE(violation) << catalog::describe(*violation);
  return read_encoding(std::move(object), entry);
}

TEST(EncodingInput, OneTextIsAListOfOne) {
  const auto in = read("@cf/baai/bge-base-en-v1.5", R"({"text":"a"})");
  EXPECT_EQ(in.task, EncodingTask::embeddings);
  EXPECT_EQ(in.texts, std::vector<std::string>{"a"});
  EXPECT_EQ(in.pooling, engine::Pooling::mean);
  EXPECT_TRUE(in.names_pooling);
  EXPECT_FALSE(in.truncate);
}

TEST(EncodingInput, Pooling) {
  EXPECT_EQ(read("@cf/baai/bge-base-en-v1.5", R"({"text":["a"],"pooling":"cls"})").pooling, engine::Pooling::first);
  const auto m3 = read("@cf/baai/bge-m3", R"({"text":["a"]})");
  EXPECT_FALSE(m3.pooling);  // the weights' own
  EXPECT_TRUE(m3.names_pooling);
  EXPECT_FALSE(read("@cf/google/embeddinggemma-300m", R"({"text":["a"]})").names_pooling);
}

TEST(EncodingInput, TheTaskDecidesWhatAQueryMeans) {
  const auto near =
      read("@cf/baai/bge-m3", R"({"query":"q","contexts":[{"text":"a"},{"text":"b"}],"truncate_inputs":true})");
  EXPECT_EQ(near.task, EncodingTask::similarity);
  EXPECT_EQ(near.query, "q");
  EXPECT_EQ(near.texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(near.truncate);
  const auto pair = read("@cf/baai/bge-reranker-base", R"({"query":"q","contexts":[{"text":"a"}],"top_k":3})");
  EXPECT_EQ(pair.task, EncodingTask::relevance);
  EXPECT_EQ(pair.top_k, 3U);
  EXPECT_EQ(read("@cf/huggingface/distilbert-sst-2-int8", R"({"text":"a"})").task, EncodingTask::classification);
}

TEST(EncodingInput, ContextsAloneAreEmbedded) {
  const auto in = read("@cf/baai/bge-m3", R"({"contexts":[{"text":"a"}]})");
  EXPECT_EQ(in.task, EncodingTask::embeddings);
  EXPECT_TRUE(in.of_contexts);
  EXPECT_EQ(in.texts, std::vector<std::string>{"a"});
}

// Source: the card of Qwen/Qwen3-Embedding-0.6B on Hugging Face.
TEST(EncodingInput, QwenQueriesCarryTheInstruction) {
  const auto in =
      read("@cf/qwen/qwen3-embedding-0.6b", R"({"queries":["q"],"documents":"d","text":"t","instruction":"Find it"})");
  EXPECT_EQ(in.texts, (std::vector<std::string>{"Instruct: Find it\nQuery:q", "d", "t"}));
}

TEST(EncodingInput, NamesWhatIsMissing) {
  const auto refusal = [](std::string_view id, std::string_view inputs) {
    try {
      read(id, inputs);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_input);
      return e.detail();
    }
    return std::string("none");
  };
  EXPECT_EQ(refusal("@cf/baai/bge-reranker-base", R"({"query":"q","contexts":[{"text":"a"},{}]})"),
            "contexts[1].text: missing");
  EXPECT_EQ(refusal("@cf/baai/bge-reranker-base", R"({"query":"q","contexts":[]})"),
            "contexts: at least one is expected");
  EXPECT_EQ(refusal("@cf/qwen/qwen3-embedding-0.6b", R"({})"), "text: at least one is expected");
}

}  // namespace
}  // namespace glia::tasks
