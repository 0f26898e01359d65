// The policy of guesses alone: what steps cost, and who may guess how far.
#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <random>

namespace glia::engine {
namespace {

/// Learned from steps whose first row takes `base` ms and every other `row` ms.
StepCost cost_of(double base, double row) {
  StepCost cost;
  for (int i = 0; i < 200; ++i) {
    for (std::int32_t rows = 1; rows <= 512; rows *= 2) cost.learn(rows, base + row * (rows - 1));
  }
  return cost;
}

TEST(StepCost, learns_what_steps_take) {
  const StepCost cost = cost_of(4, 0.5);
  for (const std::int32_t rows : {1, 2, 3, 5, 8, 13, 100, 512}) EXPECT_NEAR(cost.of(rows), 4 + 0.5 * (rows - 1), 1e-6);
  EXPECT_EQ(cost.rows_within(14.1, 1, 512), 21);
  EXPECT_EQ(cost.rows_within(1, 16, 512), 16);
  EXPECT_EQ(cost.rows_within(1e9, 1, 512), 512);
}

TEST(StepCost, is_nothing_before_the_first_step_and_a_shape_after_it) {
  StepCost cost;
  EXPECT_EQ(cost.of(1), 0);
  cost.learn(1, 8);
  EXPECT_DOUBLE_EQ(cost.of(1), 8);
  EXPECT_DOUBLE_EQ(cost.of(9), 16);
}

TEST(StepCost, never_falls_and_shrugs_at_what_stands_out) {
  StepCost cost = cost_of(4, 0.5);
  cost.learn(8, 4000);
  EXPECT_LT(cost.of(8), 1.3 * 7.5);
  cost.learn(8, 0);
  for (int i = 0; i < 100; ++i) cost.learn(16, 1);
  for (std::int32_t rows = 1; rows < 600; ++rows) EXPECT_LE(cost.of(rows), cost.of(rows + 1)) << rows;
}

struct Choice {
  explicit Choice(std::vector<std::size_t> agreed) : lookups(agreed.size(), PromptLookup(16)) {
    for (std::size_t i = 0; i < agreed.size(); ++i) {
      candidates.push_back({static_cast<std::int32_t>(i), &lookups[i], {kMostDrafts, agreed[i]}, 0, 0});
    }
  }
  std::int32_t all() const {
    std::int32_t sum = 0;
    for (const Candidate& c : candidates) sum += c.taken;
    return sum;
  }
  std::vector<PromptLookup> lookups;
  std::vector<Candidate> candidates;
};

TEST(ChooseDrafts, a_lone_stream_guesses_far_where_rows_are_cheap) {
  Choice sure({16}), faint({2});
  const StepCost cost = cost_of(4, 0.1);
  choose_drafts(sure.candidates, 1, kMostDraftRows, cost);
  choose_drafts(faint.candidates, 1, kMostDraftRows, cost);
  EXPECT_GT(sure.all(), 12);
  EXPECT_GT(faint.all(), 0);
  EXPECT_LT(faint.all(), sure.all());
}

TEST(ChooseDrafts, a_full_batch_guesses_nothing) {
  const StepCost cost = cost_of(4, 0.5);
  EXPECT_FALSE(may_pay(400, cost_of(4, 4)));
  Choice crowd(std::vector<std::size_t>(64, 16));
  choose_drafts(crowd.candidates, 64, kMostDraftRows, cost);
  EXPECT_EQ(crowd.all(), 0);
  Choice few(std::vector<std::size_t>(4, 16));
  choose_drafts(few.candidates, 4, kMostDraftRows, cost);
  EXPECT_GT(few.all(), 0);
}

TEST(ChooseDrafts, the_likeliest_come_first_and_none_goes_past_its_guess) {
  Choice two({2, 16});
  two.candidates[1].guess.count = 3;
  choose_drafts(two.candidates, 2, 4, cost_of(4, 0));
  EXPECT_EQ(two.candidates[1].taken, 3);
  EXPECT_EQ(two.candidates[0].taken, 1);
  choose_drafts(two.candidates, 2, 0, cost_of(4, 0));
  EXPECT_EQ(two.all(), 0);
}

TEST(ChooseDrafts, one_whose_guesses_fail_stops_guessing) {
  Choice one({4});
  const StepCost cost = cost_of(4, 0.5);
  int tried = 0;
  for (int step = 0; step < 50; ++step) {
    choose_drafts(one.candidates, 1, kMostDraftRows, cost);
    tried += one.candidates[0].taken;
    if (one.candidates[0].taken > 0) one.lookups[0].learn(4, static_cast<std::size_t>(one.candidates[0].taken), 0);
  }
  EXPECT_LT(tried, 40);
  EXPECT_EQ(one.candidates[0].taken, 0);
}

}  // namespace
}  // namespace glia::engine
