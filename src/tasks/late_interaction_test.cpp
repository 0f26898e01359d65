#include "tasks/late_interaction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace glia::tasks {
namespace {

double score(double mean, double tokens) { return 1 / (1 + std::exp(-(25 * mean - 0.5 * std::log(tokens) - 12))); }

TEST(LateInteraction, TakesTheNearestTokenForEachOfTheQuerys) {
  const std::vector<float> query{0.6F, 0.8F, 0, 1};
  const std::vector<float> context{1, 0, 0.8F, 0.6F, -1, 0};
  // (0.6, 0.8): 0.6, 0.96 and -0.6; (0, 1): 0, 0.6 and 0
  EXPECT_NEAR(late_interaction(query, context, 2), score((0.96 + 0.6) / 2, 3), 1e-6);
}

TEST(LateInteraction, WhatHasNoTokenIsFarAway) {
  const std::vector<float> a{1, 0};
  EXPECT_NEAR(late_interaction({}, a, 2), score(0, 1), 1e-9);
  EXPECT_NEAR(late_interaction(a, {}, 2), score(0, 1), 1e-9);
  EXPECT_GT(late_interaction(a, a, 2), 0.99);
}

TEST(LateInteraction, PunctuationDoesNotCount) {
  EXPECT_TRUE(counts("##ing"));
  EXPECT_TRUE(counts("7"));
  EXPECT_TRUE(counts("京"));
  EXPECT_TRUE(counts("—"));  // beyond ASCII
  EXPECT_FALSE(counts("?"));
  EXPECT_FALSE(counts("##!"));
  EXPECT_FALSE(counts(""));
}

TEST(Cosine, OfRowsOfLengthOneIsTheirProduct) {
  const std::vector<float> a{0.6F, 0.8F};
  const std::vector<float> b{0.8F, 0.6F};
  EXPECT_NEAR(cosine(a, b), 0.96, 1e-7);
}

}  // namespace
}  // namespace glia::tasks
