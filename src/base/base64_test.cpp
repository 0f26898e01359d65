#include "base/base64.h"

#include <gtest/gtest.h>

namespace glia {
namespace {

// Source: RFC 4648, section 10.
TEST(Base64, PadsToFour) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, TakesEveryByte) {
  EXPECT_EQ(base64(std::string_view("\0\xff\xfe", 3)), "AP/+");
  EXPECT_EQ(base64(std::string_view("\0\0\x80\x3f", 4)), "AACAPw==");
}

}  // namespace
}  // namespace glia
