#include "ledger/grouping.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace glia::ledger {
namespace {

UsageRow row(std::string day, std::string model, std::string task, double neurons, bool stand_in) {
  return {.day = std::move(day),
          .model = std::move(model),
          .task = std::move(task),
          .calls = 2,
          .prompt_tokens = 10,
          .completion_tokens = 1,
          .neurons = neurons,
          .stand_in = stand_in};
}

const std::vector<UsageRow> kRows = {
    row("2026-11-24", "a", "Chat", 0.1, true), row("2026-11-24", "b", "Chat", 0.2, false),
    row("2026-11-23", "a", "Chat", 4, false), row("2026-11-23", "c", "Drawing", 1, false)};

TEST(Grouping, SumsOverWhatIsNotToldApart) {
  const auto all = grouped(kRows, {});
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].model, "b") << "the costlier of the newest day";

  const auto days = grouped(kRows, parse_grouping("day"));
  ASSERT_EQ(days.size(), 2U);
  EXPECT_EQ(days[0].day, "2026-11-24");
  EXPECT_EQ(days[0].neurons, 0.3) << "exact: as millionths";
  EXPECT_TRUE(days[0].stand_in);
  EXPECT_FALSE(days[1].stand_in);
  EXPECT_EQ(days[1].calls, 4);
  EXPECT_EQ(days[1].prompt_tokens, 20);
  EXPECT_EQ(days[1].model, "");

  const auto models = grouped(kRows, parse_grouping("task,model"));
  ASSERT_EQ(models.size(), 3U);
  EXPECT_EQ(models[0].model, "a");
  EXPECT_EQ(models[0].neurons, 4.1);
  EXPECT_TRUE(models[0].stand_in) << "part of the sum is a stand-in's";
  EXPECT_EQ(models[0].day, "");
}

TEST(Grouping, KnowsItsColumns) {
  const auto by = parse_grouping("model,day");
  EXPECT_TRUE(by.model && by.day);
  EXPECT_FALSE(by.task);
  for (const auto* wrong : {"", "day,", "day,day", "account", "day model"}) {
    EXPECT_THROW(parse_grouping(wrong), Error) << wrong;
  }
}

}  // namespace
}  // namespace glia::ledger
