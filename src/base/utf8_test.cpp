#include "base/utf8.h"

#include <gtest/gtest.h>

namespace glia {
namespace {

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(first_invalid_utf8("plain, h\xC3\xA9, \xF0\x9F\xA6\x80"), std::string_view::npos);
  EXPECT_EQ(first_invalid_utf8("ab\xFF"), 2u);
  EXPECT_EQ(first_invalid_utf8("a\xED\xA0\x80"), 1u) << "a surrogate";
  EXPECT_EQ(first_invalid_utf8("\xC0\x80"), 0u) << "an overlong NUL";
  EXPECT_EQ(first_invalid_utf8("\xF4\x90\x80\x80"), 0u) << "above U+10FFFF";
  EXPECT_EQ(first_invalid_utf8("x\xE2\x82"), 1u) << "cut";
}

TEST(Utf8, CompletePrefixHoldsBackOnlyACutCharacter) {
  EXPECT_EQ(complete_utf8_prefix("ab\xE2\x82"), 2u);
  EXPECT_EQ(complete_utf8_prefix("ab\xE2\x82\xAC"), 5u);
  EXPECT_EQ(complete_utf8_prefix("\xF0\x9F\xA6"), 0u);
  EXPECT_EQ(complete_utf8_prefix("ab\xFF"), 3u) << "never valid, so never held back";
  EXPECT_EQ(complete_utf8_prefix("\xED\xA0"), 2u) << "a surrogate can never become whole";
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
}

}  // namespace
}  // namespace glia
