#include "engine/kv_pages.h"

#include <gtest/gtest.h>

#include <numeric>

namespace glia::engine {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens count_from(std::int32_t first, std::size_t n) {
  Tokens t(n);
  std::iota(t.begin(), t.end(), first);
  return t;
}

/// Runs one sequence to its end.
std::int32_t run(KvPages& kv, std::string_view account, const Tokens& tokens, PrefixCache use = PrefixCache::on) {
  KvPages::Lease lease;
  EXPECT_TRUE(kv.enter(lease, account, tokens, 1, use));
  const auto cached = kv.cached_tokens(lease);
  const auto n = static_cast<std::int32_t>(tokens.size());
  kv.grow(lease, n);
  kv.share(lease, tokens, n);
  kv.release(lease);
  return cached;
}

TEST(KvPages, CountsPagesExactly) {
  const KvPages kv(4, 4, true);
  EXPECT_EQ(kv.pages_for(1, 1), 1);
  EXPECT_EQ(kv.pages_for(4, 1), 1) << "the last token is never written";
  EXPECT_EQ(kv.pages_for(4, 2), 2);
  EXPECT_EQ(kv.pages_for(1 << 30, 1 << 30), 1 << 29);
}

TEST(KvPages, APrefixIsFoundInWholePagesAndTheLastTokenIsAlwaysComputed) {
  KvPages kv(16, 4, true);
  EXPECT_EQ(run(kv, "a", count_from(0, 10)), 0);
  EXPECT_EQ(kv.used(), 0);
  EXPECT_EQ(kv.cached(), 2);
  EXPECT_EQ(run(kv, "a", count_from(0, 10)), 8);
  EXPECT_EQ(run(kv, "a", count_from(0, 8)), 4) << "all eight are there, but the logits of the last are asked for";
  auto other = count_from(0, 10);
  other[5] = 99;
  EXPECT_EQ(run(kv, "a", other), 4);
  EXPECT_EQ(run(kv, "b", count_from(0, 10)), 0) << "another account sees nothing";
}

TEST(KvPages, TwoThatComputeTheSameAtOnceEndWithOneCopy) {
  KvPages kv(8, 4, true);
  const auto tokens = count_from(0, 12);
  KvPages::Lease a, b;
  ASSERT_TRUE(kv.enter(a, "", tokens, 1, PrefixCache::on));
  ASSERT_TRUE(kv.enter(b, "", tokens, 1, PrefixCache::on));
  kv.grow(a, 12);
  kv.grow(b, 12);
  EXPECT_EQ(kv.used(), 6);
  kv.share(a, tokens, 12);
  kv.share(b, tokens, 12);
  EXPECT_EQ(kv.used(), 3);
  EXPECT_EQ(kv.committed(), 3);
  EXPECT_EQ(Tokens(a.pages().begin(), a.pages().end()), Tokens(b.pages().begin(), b.pages().end()));
  kv.release(a);
  EXPECT_EQ(kv.used(), 3);
  kv.release(b);
  EXPECT_EQ(kv.used(), 0);
  EXPECT_EQ(kv.cached(), 3);
}

TEST(KvPages, TheLongestUnusedGoesFirstAndLeavesBeforeWhatTheyHangOn) {
  KvPages kv(6, 4, true);
  run(kv, "a", count_from(0, 8));
  run(kv, "a", count_from(100, 8));
  run(kv, "b", count_from(200, 8));
  EXPECT_EQ(kv.cached(), 6);
  EXPECT_EQ(run(kv, "a", count_from(0, 9)), 8) << "used again; its ninth token took the last page of the next oldest";
  EXPECT_EQ(run(kv, "a", count_from(100, 9)), 4);
  EXPECT_EQ(run(kv, "b", count_from(200, 9)), 4) << "and so on";
}

TEST(KvPages, WhatWillBeAskedForAgainIsKeptLonger) {
  KvPages kv(4, 4, true);
  run(kv, "a", count_from(0, 8), PrefixCache::keep);
  run(kv, "a", count_from(100, 8));
  run(kv, "a", count_from(200, 8));
  EXPECT_EQ(run(kv, "a", count_from(0, 8), PrefixCache::keep), 4);
}

TEST(KvPages, OneAccountKeepsAQuarterLongerAndNoMore) {
  KvPages kv(16, 4, true);
  run(kv, "promises", count_from(0, 32), PrefixCache::keep);  // 8 pages, of which 4 are kept longer
  for (int i = 0; i < 6; ++i) run(kv, "modest", count_from(1000 + 100 * i, 8));
  EXPECT_EQ(kv.cached(), 16);
  EXPECT_EQ(run(kv, "promises", count_from(0, 33)), 16) << "its first four pages outlived the others' use of it all";
  EXPECT_EQ(run(kv, "modest", count_from(1500, 9)), 8);
}

TEST(KvPages, WhatIsKeptLongerAgesToo) {
  KvPages kv(4, 4, true);
  run(kv, "a", count_from(0, 4), PrefixCache::keep);
  for (int i = 1; i < 20; ++i) run(kv, "b", count_from(100 * i, 8));
  EXPECT_EQ(run(kv, "a", count_from(0, 5)), 0);
  run(kv, "a", count_from(50, 8), PrefixCache::keep);
  run(kv, "b", count_from(5000, 12));
  EXPECT_EQ(run(kv, "a", count_from(50, 9)), 4) << "what was dropped no longer counts";
}

TEST(KvPages, AsksForMoreAsItGrowsAndLeavesOthersTheirNextPage) {
  KvPages kv(6, 4, true);
  KvPages::Lease a, b;
  ASSERT_TRUE(kv.enter(a, "", count_from(0, 8), 9, PrefixCache::on));  // 2 pages now, 4 at most
  EXPECT_EQ(kv.committed(), 2);
  EXPECT_FALSE(kv.enter(b, "", count_from(50, 9), 5, PrefixCache::on)) << "3 pages, and the next of both";
  ASSERT_TRUE(kv.enter(b, "", count_from(50, 9), 1, PrefixCache::on)) << "3 pages, all that it can need";
  kv.grow(a, 8);
  kv.share(a, count_from(0, 8), 8);
  EXPECT_TRUE(kv.extend(a, 8));
  EXPECT_EQ(kv.committed(), 5);
  EXPECT_TRUE(kv.extend(a, 9));
  EXPECT_EQ(kv.committed(), 6);
  EXPECT_TRUE(kv.extend(a, 12));
  EXPECT_FALSE(kv.extend(a, 13));
  EXPECT_EQ(kv.committed(), 6);
  kv.release(b);
  EXPECT_TRUE(kv.extend(a, 16));
  KvPages::Lease c;
  ASSERT_TRUE(kv.enter(c, "", count_from(0, 9), 4, PrefixCache::on))
      << "two of its three pages are there and pinned by another";
  EXPECT_EQ(kv.committed(), 5);
  kv.release(a);
  EXPECT_EQ(kv.committed(), 3);
  kv.release(c);
  EXPECT_EQ(kv.committed(), 0);
  EXPECT_EQ(kv.used(), 0);
}

TEST(KvPages, SwitchedOffItKeepsNothing) {
  KvPages kv(4, 4, false);
  EXPECT_EQ(run(kv, "a", count_from(0, 8)), 0);
  EXPECT_EQ(kv.cached(), 0);
  EXPECT_EQ(run(kv, "a", count_from(0, 8)), 0);
}

TEST(PagePool, HandsOutTouchedPagesFirst) {
  PagePool pool(4);
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  pool.give_back(std::vector<std::int32_t>{0, 1});
  EXPECT_EQ(pool.take(), 0);
  EXPECT_EQ(pool.take(), 1);
  EXPECT_EQ(pool.take(), 2);
  EXPECT_EQ(pool.used(), 3);
}

}  // namespace
}  // namespace glia::engine
