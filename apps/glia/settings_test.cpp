#include "settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "terminal.h"

namespace glia::cli {
namespace {

namespace fs = std::filesystem;

/// A folder of its own as the current one, and HOME in it.
class SettingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/glia-settings-XXXXXX";
    folder_ = ::mkdtemp(name);
    before_ = fs::current_path();
    fs::current_path(folder_);
    ::setenv("HOME", folder_.c_str(), 1);
    ::unsetenv("XDG_DATA_HOME");
    ::unsetenv("XDG_CONFIG_HOME");
    ::unsetenv("XDG_CACHE_HOME");
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  void write(const fs::path& path, std::string_view text) {
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string refusal(const GivenSettings& given) {
    try {
      settle_settings(given);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "accepted";
  }

  fs::path folder_;
  fs::path before_;
};

TEST_F(SettingsTest, DefaultsFollowXdg) {
  const Settings s = settle_settings({});
  EXPECT_EQ(s.port, 7843);
  EXPECT_EQ(s.host, "127.0.0.1");
  EXPECT_EQ(s.data, folder_ / ".local/share/glia");
  EXPECT_EQ(s.models_dir, folder_ / ".local/share/glia/models");
  EXPECT_EQ(s.plan, "paid");
}

TEST_F(SettingsTest, PackedWeightsAreKeptUnlessOneSaysNo) {
  EXPECT_TRUE(settle_settings({}).packed_cache);
  EXPECT_EQ(packed_cache_folder(), folder_ / ".cache/glia/packed");
  GivenSettings no;
  no.no_packed_cache = true;
  EXPECT_FALSE(settle_settings(no).packed_cache);
  write("glia.toml", "[serve]\npacked_cache = false\n");
  EXPECT_FALSE(settle_settings({}).packed_cache);
  write("glia.toml", "[serve]\npacked_cache = 1\n");
  EXPECT_EQ(refusal({}), "glia.toml:2: packed_cache must be true or false");
}

TEST_F(SettingsTest, DeprecationsAreOffUnlessADayIsNamed) {
  EXPECT_EQ(settle_settings({}).deprecations, "off");
  write("glia.toml", "[serve]\ndeprecations = \"2026-12-01\"\n");
  EXPECT_EQ(settle_settings({}).deprecations, "2026-12-01");
  GivenSettings given;
  given.deprecations = "now";
  EXPECT_EQ(settle_settings(given).deprecations, "now");
  for (const char* wrong : {"on", "2026-12-1", "2026-12-01T00:00", ""}) {
    given.deprecations = wrong;
    EXPECT_NE(refusal(given).find("deprecations is off, now or a day"), std::string::npos) << wrong;
  }
}

TEST_F(SettingsTest, KeysAndValuesAreOfATypeThatThereIs) {
  for (const char* type : {"f16", "bf16", "int16", "int8"}) {
    write("glia.toml", std::string("[serve]\nkv = \"") + type + "\"\n");
    EXPECT_EQ(settle_settings({}).kv, type);
  }
  GivenSettings given;
  given.kv = "bf16";
  EXPECT_EQ(settle_settings(given).kv, "bf16") << "what is given beats the file";
  for (const char* wrong : {"f32", "fp16", "INT8", "q8_0", ""}) {
    given.kv = wrong;
    EXPECT_NE(refusal(given).find("kv is "), std::string::npos) << wrong << ": " << refusal(given);
  }
  write("glia.toml", "[serve]\nkv = 8\n");
  EXPECT_NE(refusal({}), "accepted");
}

TEST_F(SettingsTest, ActivationsAreOfATypeThatThereIs) {
  EXPECT_EQ(settle_settings({}).activations, "int16");
  write("glia.toml", "[serve]\nactivations = \"int8\"\n");
  EXPECT_EQ(settle_settings({}).activations, "int8");
  GivenSettings given;
  given.activations = "int16";
  EXPECT_EQ(settle_settings(given).activations, "int16") << "what is given beats the file";
  for (const char* wrong : {"f16", "INT8", "8", ""}) {
    given.activations = wrong;
    EXPECT_NE(refusal(given).find("activations is "), std::string::npos) << wrong << ": " << refusal(given);
  }
  write("glia.toml", "[serve]\nactivations = 8\n");
  EXPECT_NE(refusal({}), "accepted");
}

TEST_F(SettingsTest, WhatIsGivenBeatsTheFileAndTheFileBeatsTheDefault) {
  write("glia.toml",
        "[serve]\nport = 9000\nthreads = 1\n[models.\"@cf/x/y\"]\npath = \"w.gguf\"\n[models.\"@cf/x/z\"]\npath = "
        "\"hf:o/n:Q4_0\"\n");
  GivenSettings given;
  given.threads = 2;
  given.profile = "full";
  given.models = {"@cf/a/b=/m/b.gguf"};
  const Settings s = settle_settings(given);
  EXPECT_EQ(s.port, 9000);
  EXPECT_EQ(s.threads, 2);
  EXPECT_EQ(s.models.at("@cf/x/y"), folder_ / "w.gguf") << "relative to the file";
  EXPECT_EQ(s.models.at("@cf/x/z"), "hf:o/n:Q4_0") << "the hub's, not the folder's";
  EXPECT_EQ(s.models.at("@cf/a/b"), "/m/b.gguf");
  EXPECT_EQ(s.profile, "full");
}

TEST_F(SettingsTest, TheUsersFileIsReadWhereTheProjectHasNone) {
  write(".config/glia/glia.toml", "[serve]\nport = 9001\n");
  EXPECT_EQ(settle_settings({}).port, 9001);
  write("glia.toml", "[serve]\nport = 9002\n");
  EXPECT_EQ(settle_settings({}).port, 9002);
}

TEST_F(SettingsTest, MistakesAreNamedWithTheirPlace) {
  write("a.toml", "[serve]\n\nprot = 1\n");
  GivenSettings given;
  given.config = "a.toml";
  EXPECT_EQ(refusal(given), "a.toml:3: there is no setting serve.prot");
  write("a.toml", "[serve]\nport = \"x\"\n");
  EXPECT_EQ(refusal(given), "a.toml:2: port must be a whole number");
  write("a.toml", "[serve]\nport = 70000\n");
  EXPECT_EQ(refusal(given), "a.toml:2: port must be 0 to 65535");
  write("a.toml", "[serve\n");
  EXPECT_EQ(refusal(given).substr(0, 9), "a.toml:1:");
  write("a.toml", "[models.\"@cf/x\"]\nurl = \"u\"\n");
  EXPECT_NE(refusal(given).find("a model has `path`"), std::string::npos);
  given.config = "none.toml";
  EXPECT_EQ(refusal(given), "there is no file none.toml");
  given = {};
  given.models = {"nonsense"};
  EXPECT_NE(refusal(given).find("ID=PATH"), std::string::npos);
  given = {};
  given.plan = "gold";
  EXPECT_EQ(refusal(given), "plan is one of paid, free; not `gold`");
}

TEST(Terminal, TablesAndNumbers) {
  Table t({"id", "n"}, {1});
  t.add({"h\xC3\xA9", "1"});
  t.add({"longer", "100"});
  EXPECT_EQ(t.text(), "id        n\nh\xC3\xA9        1\nlonger  100\n");
  EXPECT_EQ(human_count(1234567), "1,234,567");
  EXPECT_EQ(human_count(-999), "-999");
  EXPECT_EQ(human_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(human_bytes(12), "12 B");
}

}  // namespace
}  // namespace glia::cli
