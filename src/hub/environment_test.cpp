#include "hub/environment.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>

#include "base/error.h"

namespace glia::hub {
namespace {

Environment with(std::map<std::string, std::string> variables) {
  return Environment::from([&](const char* name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
}

TEST(Environment, CacheIsWhereTheOtherToolsHaveIt) {
  EXPECT_EQ(with({{"HOME", "/h"}}).cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(with({{"HOME", "/h"}, {"HF_HOME", "~/hf"}, {"XDG_CACHE_HOME", "/x"}}).cache, "/h/hf/hub");
  EXPECT_EQ(with({{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(with({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache, "/new");
  EXPECT_EQ(with({{"HOME", "/h"}, {"HF_HOME", ""}}).cache, "/h/.cache/huggingface/hub") << "set, but to nothing";
}

TEST(Environment, VariablesInsideAreExpanded) {
  EXPECT_EQ(with({{"D", "/d"}, {"HF_HUB_CACHE", "$D/hub"}}).cache, "/d/hub");
  EXPECT_EQ(with({{"D", "/d"}, {"HF_HUB_CACHE", "${D}x/hub"}}).cache, "/dx/hub");
  EXPECT_EQ(with({{"HF_HUB_CACHE", "/a/$NONE/b"}}).cache, "/a/$NONE/b");
  EXPECT_EQ(with({{"D", "/d"}, {"HF_HUB_CACHE", "/a/${D"}}).cache, "/a/${D");
  EXPECT_EQ(with({{"HF_HUB_CACHE", "/a/$"}}).cache, "/a/$");
}

TEST(Environment, EndpointIsAnAddress) {
  EXPECT_EQ(with({}).endpoint, "https://huggingface.co");
  EXPECT_EQ(with({{"HF_ENDPOINT", "http://127.0.0.1:8000//"}}).endpoint, "http://127.0.0.1:8000");
  EXPECT_THROW(with({{"HF_ENDPOINT", "huggingface.co"}}), Error);
  EXPECT_THROW(with({{"HF_ENDPOINT", "file:///etc"}}), Error);
}

TEST(Environment, TokenComesFromTheVariableThenTheFile) {
  std::string dir = (std::filesystem::temp_directory_path() / "glia-hub-XXXXXX").string();
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  std::ofstream(dir + "/token") << "hf_file\n";
  std::ofstream(dir + "/other") << "  hf_other  \r\n";
  EXPECT_EQ(with({{"HF_HOME", dir}}).token, "hf_file");
  EXPECT_EQ(with({{"HF_HOME", dir}, {"HF_TOKEN", " hf_variable\n"}}).token, "hf_variable");
  EXPECT_EQ(with({{"HF_HOME", dir}, {"HF_TOKEN", " "}}).token, "hf_file");
  EXPECT_EQ(with({{"HF_HOME", dir}, {"HUGGING_FACE_HUB_TOKEN", "hf_old"}}).token, "hf_old");
  EXPECT_EQ(with({{"HF_HOME", dir}, {"HF_TOKEN_PATH", dir + "/other"}}).token, "hf_other");
  EXPECT_EQ(with({{"HF_HOME", dir}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token, "");
  EXPECT_EQ(with({{"HF_HOME", "/nowhere"}}).token, "");
  std::filesystem::remove_all(dir);
}

TEST(Environment, OfflineByEitherVariable) {
  EXPECT_FALSE(with({}).offline);
  EXPECT_FALSE(with({{"HF_HUB_OFFLINE", "0"}}).offline);
  EXPECT_TRUE(with({{"HF_HUB_OFFLINE", "1"}}).offline);
  EXPECT_TRUE(with({{"TRANSFORMERS_OFFLINE", "yes"}}).offline);
  EXPECT_TRUE(with({{"HF_HUB_OFFLINE", "true"}}).offline);
}

}  // namespace
}  // namespace glia::hub
