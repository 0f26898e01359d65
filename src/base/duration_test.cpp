#include "base/duration.h"

#include <gtest/gtest.h>

namespace glia {
namespace {

TEST(Duration, reads_what_people_write) {
  EXPECT_EQ(parse_duration_ms("30m"), 30 * 60'000);
  EXPECT_EQ(parse_duration_ms("1h30m"), 90 * 60'000);
  EXPECT_EQ(parse_duration_ms("2d"), 2 * 86'400'000);
  EXPECT_EQ(parse_duration_ms("500ms"), 500);
  EXPECT_EQ(parse_duration_ms("90s"), 90'000);
  EXPECT_EQ(parse_duration_ms("90"), 90'000);
  EXPECT_EQ(parse_duration_ms("0"), 0);
  for (const char* bad : {"", "-1", "m", "5x", "1h 30m", "30m1h", "1m1m", "1h30", "99999999999999999999", "40000d"}) {
    EXPECT_EQ(parse_duration_ms(bad), std::nullopt) << bad;
  }
}

TEST(Duration, says_the_two_largest_units) {
  EXPECT_EQ(duration_text(0), "0 ms");
  EXPECT_EQ(duration_text(250), "250 ms");
  EXPECT_EQ(duration_text(5250), "5 s");
  EXPECT_EQ(duration_text(120'000), "2 min");
  EXPECT_EQ(duration_text(90 * 60'000), "1 h 30 min");
  EXPECT_EQ(duration_text(90'061'000), "1 d 1 h");
}

}  // namespace
}  // namespace glia
