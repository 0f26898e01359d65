#include "engine/figures.h"

#include <gtest/gtest.h>

namespace glia::engine {
namespace {

TEST(Figures, WhatIsAddedToNothingIsThereAndNothingTakesNothingAway) {
  const Histogram some{{1, 2}, {3, 0, 1}, 7.5, 4};
  Histogram sum;
  add(sum, some);
  add(sum, Histogram{});
  EXPECT_EQ(sum.counts, some.counts);
  add(sum, some);
  EXPECT_EQ(sum.bounds, some.bounds);
  EXPECT_EQ(sum.counts, (std::vector<std::uint64_t>{6, 0, 2}));
  EXPECT_EQ(sum.count, 8U);
  EXPECT_EQ(sum.sum, 15.0);
}

}  // namespace
}  // namespace glia::engine
