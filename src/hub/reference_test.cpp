#include "hub/reference.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::hub {
namespace {

TEST(Reference, TakesEachForm) {
  EXPECT_EQ(Reference::parse("owner/name"), (Reference{"owner/name", "", ""}));
  EXPECT_EQ(Reference::parse("gpt2"), (Reference{"gpt2", "", ""}));
  EXPECT_EQ(Reference::parse("hf:owner/name:Q4_K_M"), (Reference{"owner/name", "Q4_K_M", ""}));
  EXPECT_EQ(Reference::parse("hf://owner/name@v1.0"), (Reference{"owner/name", "", "v1.0"}));
  EXPECT_EQ(Reference::parse("https://huggingface.co/owner/name"), (Reference{"owner/name", "", ""}));
  EXPECT_EQ(Reference::parse("o/n:dir/x-00001-of-00002.gguf@refs/pr/1"),
            (Reference{"o/n", "dir/x-00001-of-00002.gguf", "refs/pr/1"}));
  EXPECT_EQ(Reference::parse("o/n@main:Q8_0"), (Reference{"o/n", "Q8_0", "main"}));
  EXPECT_EQ(Reference::parse("o/n:Q8_0@main").text(), "o/n:Q8_0@main");
  EXPECT_EQ(Reference{"o/n"}.revision_or_main(), "main");
  EXPECT_TRUE(Reference::is_marked("hf:o/n"));
  EXPECT_FALSE(Reference::is_marked("models/o/n"));
}

TEST(Reference, RefusesWhatNamesNoRepository) {
  for (const char* text : {"",
                           "hf:",
                           "/name",
                           "owner/",
                           "a/b/c",
                           "a b/c",
                           "../x",
                           "o/..",
                           "o/.hidden",
                           "o/n-",
                           "o/a--b",
                           "o/n:",
                           "o/n@",
                           "o/n:../x",
                           "o/n@../../x",
                           "o/n:a\\b",
                           "o/n:/etc/passwd",
                           "o/n:Q4:Q8",
                           "o/n@a@b",
                           "https://example.com/o/n"}) {
    EXPECT_THROW(Reference::parse(text), Error) << text;
  }
  EXPECT_THROW(Reference::parse("o/" + std::string(200, 'x')), Error);
}

TEST(Reference, PathsThatLeaveAFolderAreNotSafe) {
  for (const char* good : {"a", "a/b.c", "...", "a..b", "1_Pooling/config.json", "\xC3\xA9.json"}) {
    EXPECT_TRUE(is_safe_path(good)) << good;
  }
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/../b", "./a", "a\\b", "a\nb", "a\x7F"}) {
    EXPECT_FALSE(is_safe_path(bad)) << bad;
  }
  EXPECT_FALSE(is_safe_path(std::string("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(256, 'a'))) << "no file system takes it";
  EXPECT_TRUE(is_safe_path(std::string(255, 'a')));
}

TEST(Reference, ACommitIsFortyDigits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
}

}  // namespace
}  // namespace glia::hub
