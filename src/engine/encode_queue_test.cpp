#include "engine/encode_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace glia::engine {
namespace {

using Lengths = std::vector<std::int32_t>;

TEST(EncodeQueue, every_text_is_planned_once_in_batches_that_fit) {
  std::mt19937 random(1);
  EncodeQueue queue;
  std::map<std::int32_t, Lengths> jobs;
  std::set<std::pair<std::int32_t, std::int32_t>> seen;
  std::int32_t next = 0;
  std::size_t texts = 0;
  for (int round = 0; round < 300 || !queue.empty(); ++round) {
    for (int i = 0; round < 300 && i < static_cast<int>(random() % 3); ++i) {
      Lengths lengths(1 + random() % 9);
      for (std::int32_t& n : lengths) n = static_cast<std::int32_t>(1 + random() % (random() % 8 == 0 ? 100 : 20));
      texts += lengths.size();
      queue.submit(next, std::string(1, static_cast<char>('a' + random() % 4)), lengths);
      jobs[next++] = std::move(lengths);
    }
    std::int32_t rows = 0;
    std::int32_t last = 1 << 30;
    const auto plan = queue.plan(64);
    EXPECT_EQ(plan.empty(), seen.size() == texts);
    for (const EncodeQueue::Item& item : plan) {
      EXPECT_EQ(item.tokens, jobs.at(item.job).at(static_cast<std::size_t>(item.text)));
      EXPECT_TRUE(seen.insert({item.job, item.text}).second);
      EXPECT_LE(item.tokens, last) << "longest first";
      last = item.tokens;
      rows += item.tokens;
    }
    EXPECT_TRUE(rows <= 64 || plan.size() == 1);
  }
  EXPECT_EQ(seen.size(), texts);
}

TEST(EncodeQueue, accounts_share_by_tokens) {
  EncodeQueue queue;
  queue.submit(0, "long", Lengths(100, 40));
  queue.submit(1, "short", Lengths(400, 10));
  std::map<std::int32_t, std::int32_t> given;
  for (int step = 0; step < 50; ++step) {
    for (const auto& item : queue.plan(80)) given[item.job] += item.tokens;
    EXPECT_NEAR(given[0], given[1], 40) << "never further apart than a text";
  }
}

TEST(EncodeQueue, who_comes_late_or_again_gets_no_more_than_its_share) {
  EncodeQueue queue;
  queue.submit(0, "early", Lengths(1000, 10));
  for (int step = 0; step < 20; ++step) queue.plan(100);
  queue.submit(1, "late", Lengths(1000, 10));
  std::map<std::int32_t, std::int32_t> given;
  for (int step = 0; step < 20; ++step) {
    for (const auto& item : queue.plan(100)) given[item.job] += item.tokens;
  }
  EXPECT_NEAR(given[0], given[1], 10);
  queue.remove(1);
  queue.submit(2, "late", Lengths(1000, 10));
  given.clear();
  for (int step = 0; step < 20; ++step) {
    for (const auto& item : queue.plan(100)) given[item.job] += item.tokens;
  }
  EXPECT_NEAR(given[0], given[2], 20);
}

TEST(EncodeQueue, a_removed_request_is_gone) {
  EncodeQueue queue;
  queue.submit(0, "a", Lengths(10, 10));
  queue.submit(1, "a", Lengths(1, 10));
  queue.plan(10);
  queue.remove(0);
  std::vector<std::int32_t> jobs;
  for (const auto& item : queue.plan(1000)) jobs.push_back(item.job);
  EXPECT_EQ(jobs, std::vector<std::int32_t>{1});
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.plan(10).empty());
  queue.remove(0);
}

}  // namespace
}  // namespace glia::engine
