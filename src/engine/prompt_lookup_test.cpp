#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace glia::engine {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens guess(PromptLookup& lookup, const Tokens& tokens, std::size_t most) {
  Tokens out(most);
  out.resize(lookup.guess(tokens, out).count);
  return out;
}

TEST(PromptLookup, goes_on_as_the_last_tokens_did_before) {
  PromptLookup lookup(100);
  EXPECT_EQ(guess(lookup, {1, 2, 3, 4, 5, 9, 2, 3}, 2), (Tokens{4, 5}));
  EXPECT_EQ(guess(lookup, {1, 2, 3, 4, 5, 9, 2, 3, 4}, 3), (Tokens{5, 9, 2}));
}

TEST(PromptLookup, one_token_alike_is_not_enough) {
  PromptLookup lookup(100);
  EXPECT_EQ(guess(lookup, {1, 2, 3, 4, 9, 3}, 4), Tokens{});
}

TEST(PromptLookup, nothing_to_find_and_no_room_for_it) {
  PromptLookup lookup(100);
  EXPECT_EQ(guess(lookup, {7}, 4), Tokens{});
  EXPECT_EQ(guess(lookup, {7, 7}, 4), Tokens{});
  EXPECT_EQ(guess(lookup, {7, 7, 7}, 0), Tokens{});
}

TEST(PromptLookup, the_longest_agreement_wins_then_the_latest) {
  PromptLookup lookup(100);
  EXPECT_EQ(guess(lookup, {1, 2, 3, 70, 8, 2, 3, 80, 5, 1, 2, 3}, 1), Tokens{70});
  PromptLookup other(100);
  EXPECT_EQ(guess(other, {6, 2, 3, 70, 8, 2, 3, 80, 5, 1, 2, 3}, 1), Tokens{80});
}

TEST(PromptLookup, what_repeats_goes_on_past_its_end) {
  PromptLookup lookup(100);
  EXPECT_EQ(guess(lookup, {9, 1, 2, 3, 1, 2, 3}, 8), (Tokens{1, 2, 3, 1, 2, 3, 1, 2}));
  PromptLookup same(100);
  EXPECT_EQ(guess(same, {4, 4, 4}, 5), (Tokens{4, 4, 4, 4, 4}));
}

/// Every place, as a plain search finds it: the longest agreement of at least two.
std::size_t longest_agreement(const Tokens& tokens) {
  std::size_t best = 0;
  const std::size_t last = tokens.size() - 1;
  for (std::size_t at = 1; at < last; ++at) {
    std::size_t agreed = 0;
    while (agreed <= at && agreed < 16 && tokens[at - agreed] == tokens[last - agreed]) ++agreed;
    if (agreed >= 2) best = std::max(best, agreed);
  }
  return best;
}

TEST(PromptLookup, finds_what_a_plain_search_finds) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const auto words = 6 + random() % 200;
    PromptLookup lookup(300);
    Tokens tokens;
    while (tokens.size() < 300) {
      for (std::size_t n = 1 + random() % 5; n > 0 && tokens.size() < 300; --n) {
        tokens.push_back(static_cast<std::int32_t>(random() % words));
      }
      Tokens out(1);
      const auto found = lookup.guess(tokens, out);
      const std::size_t longest = tokens.size() < 3 ? 0 : longest_agreement(tokens);
      EXPECT_LE(found.agreed, longest);
      EXPECT_EQ(found.count > 0, found.agreed > 0);
      if (words <= 60) continue;
      EXPECT_EQ(found.agreed, longest) << "few places, all of which are looked at";
    }
  }
}

// A prompt that is one pair over and over, the worst for the chains, and a guess after each token.
TEST(PromptLookup, the_worst_prompt_costs_no_more_than_its_length) {
  constexpr std::size_t kTokens = 200'000;
  PromptLookup lookup(kTokens);
  Tokens tokens;
  Tokens out(24);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kTokens; ++i) {
    tokens.push_back(static_cast<std::int32_t>(i % 3 == 2 ? i : 1));
    sum += lookup.guess(tokens, out).count;
  }
  EXPECT_GT(sum, kTokens);
}

TEST(PromptLookup, learns_what_its_guesses_are_worth) {
  PromptLookup lookup(100);
  EXPECT_LT(lookup.chance(2, 0), lookup.chance(8, 0));
  EXPECT_EQ(lookup.chance(2, 8), lookup.chance(10, 0)) << "a guess that came true so far agrees by so much more";
  const double before = lookup.chance(2, 0), others = lookup.chance(8, 0);
  for (int i = 0; i < 20; ++i) lookup.learn(2, 1, 0);
  EXPECT_LT(lookup.chance(2, 0), 0.1);
  EXPECT_EQ(lookup.chance(8, 0), others);
  for (int i = 0; i < 40; ++i) lookup.learn(2, 1, 1);
  EXPECT_GT(lookup.chance(2, 0), before);
  EXPECT_LE(lookup.chance(2, 0), 1.0);
}

TEST(PromptLookup, tries_again_after_a_while) {
  PromptLookup lookup(2000);
  for (int i = 0; i < 50; ++i) lookup.learn(16, 1, 0);
  const double worst = lookup.chance(16, 0);
  Tokens tokens(3, 5);
  for (int i = 0; i < 1000; ++i) {
    tokens.push_back(5);
    guess(lookup, tokens, 1);
  }
  EXPECT_LT(worst, 0.05);
  EXPECT_GT(lookup.chance(16, 0), 0.5);
}

}  // namespace
}  // namespace glia::engine
