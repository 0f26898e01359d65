// Qwen3 Embedding and EmbeddingGemma from tiny folders as sentence-transformers writes them, through the whole program:
// by --model, and by --profile full out of the cache that Hugging Face tools share.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "child_server.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;

const std::string kQwen = "@cf/qwen/qwen3-embedding-0.6b";
const std::string kGemma = "@cf/google/embeddinggemma-300m";
const fs::path kGoldens = fs::path(GLIA_SOURCE_DIR) / "tests/golden/encoders";
/// Of these weights, which are narrower than the ids' own: their vectors are filled up with zeros.
constexpr std::size_t kWidth = 64;

json::value read_golden(const std::string& name) {
  std::ifstream in(kGoldens / (name + ".texts.json"));
  return parse_json(std::string{std::istreambuf_iterator<char>(in), {}});
}

void expect_vector(const json::value& got, const json::value& want, double scale = 1) {
  for (std::size_t i = 0; i < kWidth; ++i) {
    ASSERT_NEAR(got.at(i).to_number<double>(), want.at(i).to_number<double>() * scale, 2e-3) << i;
  }
}

/// Row 3 of Qwen's golden is a query behind its instruction, rows 0 and 2 are documents.
void expect_qwen(const ChildServer& server) {
  const json::value golden = read_golden("qwen3_embedding");
  const auto reply =
      server.run(kQwen, R"({"queries":"bus","documents":["the red bicycle","the bus at eight."],"instruction":"go"})");
  ASSERT_EQ(reply.status, 200) << reply.body << server.log();
  const json::value result = parse_json(reply.body).at("result");
  EXPECT_EQ(json::serialize(result.at("shape")), "[3,1024]");
  expect_vector(result.at("data").at(0), golden.at(3).at("vector"));
  expect_vector(result.at("data").at(1), golden.at(0).at("vector"));
  expect_vector(result.at("data").at(2), golden.at(2).at("vector"));
}

TEST(EmbeddingModels, AnswerFromAFolderOfOnesOwn) {
  const ChildServer server({"--model", kQwen + "=" + (kGoldens / "qwen3_embedding").string(), "--model",
                            kGemma + "=" + (kGoldens / "embedding_gemma").string()});
  expect_qwen(server);
  const json::value golden = read_golden("embedding_gemma");
  const auto reply = server.run(kGemma, R"({"text":["a","the red bicycle"]})");
  ASSERT_EQ(reply.status, 200) << reply.body << server.log();
  const json::value result = parse_json(reply.body).at("result");
  EXPECT_EQ(json::serialize(result.at("shape")), "[2,768]");
  expect_vector(result.at("data").at(0), golden.at(1).at("vector"));
  expect_vector(result.at("data").at(1), golden.at(0).at("vector"));
}

/// The first values of a vector, of length 1 again.
TEST(EmbeddingModels, AreShortenedByDimensions) {
  const ChildServer server({"--model", kGemma + "=" + (kGoldens / "embedding_gemma").string()});
  const auto reply = http::post(server.url("/client/v4/accounts/local/ai/v1/embeddings"),
                                R"({"model":")" + kGemma + R"(","input":"the red bicycle","dimensions":16})", {}, {});
  ASSERT_EQ(reply.status, 200) << reply.body << server.log();
  const json::value whole = read_golden("embedding_gemma").at(0).at("vector");
  const json::value got = parse_json(reply.body).at("data").at(0).at("embedding");
  ASSERT_EQ(got.as_array().size(), 16U);
  double squares = 0;
  for (std::size_t i = 0; i < 16; ++i) squares += std::pow(whole.at(i).to_number<double>(), 2);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_NEAR(got.at(i).to_number<double>(), whole.at(i).to_number<double>() / std::sqrt(squares), 5e-3);
  }
}

TEST(EmbeddingModels, TooLongATextIsRefusedByItsTokens) {
  const ChildServer server({"--model", kQwen + "=" + (kGoldens / "qwen3_embedding").string()});
  const auto reply = server.run(kQwen, R"({"text":")" + std::string(60, 'a') + R"("})");
  EXPECT_EQ(reply.status, 400) << reply.body;
  EXPECT_NE(reply.body.find("61 tokens, the model reads 40"), std::string::npos) << reply.body;
}

TEST(EmbeddingModels, AnswerFromTheHubsCacheUnderProfileFull) {
  std::string cache = (fs::temp_directory_path() / "glia-hub-XXXXXX").string();
  ASSERT_NE(::mkdtemp(cache.data()), nullptr);
  const fs::path model = fs::path(cache) / "models--Qwen--Qwen3-Embedding-0.6B";
  const std::string commit(40, 'a');
  fs::create_directories(model / "snapshots");
  fs::create_directories(model / "refs");
  fs::copy(kGoldens / "qwen3_embedding", model / "snapshots" / commit, fs::copy_options::recursive);
  std::ofstream(model / "refs/main") << commit;
  const char* before = ::getenv("HF_HUB_CACHE");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("HF_HUB_CACHE", cache.c_str(), 1);
  {
    const ChildServer server({"--profile", "full"});
    expect_qwen(server);
  }
  before == nullptr ? ::unsetenv("HF_HUB_CACHE") : ::setenv("HF_HUB_CACHE", kept.c_str(), 1);
  fs::remove_all(cache);
}

}  // namespace
}  // namespace glia::cli
