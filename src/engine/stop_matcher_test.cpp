#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "base/utf8.h"

namespace glia::engine {
namespace {

struct Outcome {
  std::string text;
  bool stopped = false;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopMatcher matcher(stops);
  Outcome o;
  for (const std::string& piece : pieces) {
    if (matcher.push(piece, o.text)) return {o.text, true};
  }
  matcher.finish(o.text);
  return o;
}

// The definition: the shortest prefix of the text that ends with a stop string, cut before the longest that it ends
// with.
Outcome define(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopMatcher, cuts_before_the_stop_string_across_pieces) {
  EXPECT_EQ(run({"END"}, {"one E", "N", "D two"}), (Outcome{"one ", true}));
  EXPECT_EQ(run({"END"}, {"one EN", "OUGH"}), (Outcome{"one ENOUGH", false}));
  EXPECT_EQ(run({"\n\n"}, {"a\n", "b\n", "\nc"}), (Outcome{"a\nb", true}));
  EXPECT_EQ(run({"aab"}, {"aa", "aa", "b"}), (Outcome{"aa", true}));
  EXPECT_EQ(run({}, {"any", "thing"}), (Outcome{"anything", false}));
  EXPECT_EQ(run({"x"}, {}), (Outcome{"", false}));
}

TEST(StopMatcher, gives_back_the_tail_that_did_not_match) {
  EXPECT_EQ(run({"STOP"}, {"never S", "TO"}), (Outcome{"never STO", false}));
}

TEST(StopMatcher, holds_back_only_what_may_still_match) {
  StopMatcher matcher(std::vector<std::string>{"</s>"});
  std::string out;
  EXPECT_FALSE(matcher.push("hello <", out));
  EXPECT_EQ(out, "hello ");
  EXPECT_FALSE(matcher.push("/", out));
  EXPECT_EQ(out, "hello ");
  EXPECT_FALSE(matcher.push("b", out));
  EXPECT_EQ(out, "hello </b");
}

TEST(StopMatcher, the_first_completed_wins_and_of_those_the_longest) {
  EXPECT_EQ(run({"abcd", "bc"}, {"xabcd"}), (Outcome{"xa", true}));
  EXPECT_EQ(run({"bc", "abc"}, {"xabcd"}), (Outcome{"x", true}));
}

TEST(StopMatcher, never_cuts_a_character) {
  // "é" (C3 A9) begins like "è" (C3 A8).
  StopMatcher matcher(std::vector<std::string>{"é!"});
  std::string out;
  for (const std::string piece : {"caf", "é", "è", "é", "?", "é", "!"}) {
    matcher.push(piece, out);
    EXPECT_EQ(first_invalid_utf8(out), std::string::npos);
    EXPECT_EQ(complete_utf8_prefix(out), out.size());
  }
  EXPECT_EQ(out, "caféèé?");
}

TEST(StopMatcher, equals_the_definition_however_the_text_is_cut) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    const auto word = [&](std::size_t most) {
      std::string w;
      for (std::size_t n = 1 + random() % most; n > 0; --n) w += static_cast<char>('a' + random() % 2);
      return w;
    };
    std::vector<std::string> stops;
    for (std::size_t n = random() % 4; n > 0; --n) stops.push_back(word(6));
    const std::string text = word(24);
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t n = random() % 5;
      pieces.push_back(text.substr(i, n));
      i += n;
    }
    ASSERT_EQ(run(stops, pieces), define(stops, text)) << text;
  }
}

}  // namespace
}  // namespace glia::engine
