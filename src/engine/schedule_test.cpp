// The policy alone, under virtual time: no threads, no model; one step is one tick.
#include "engine/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "engine/page_pool.h"

namespace glia::engine {
namespace {

TEST(Schedule, decodes_first_then_prompts_in_chunks) {
  Schedule s({.max_batch_rows = 8, .max_running = 4, .pages = 100, .page_tokens = 4});
  const Slot a = s.submit("", 3, 10), b = s.submit("", 12, 10);
  const Plan* p = &s.plan();
  ASSERT_EQ(p->admitted, (std::vector<Slot>{a, b}));
  ASSERT_EQ(p->chunks.size(), 2U);
  EXPECT_EQ(p->chunks[0].count, 3);
  EXPECT_TRUE(p->chunks[0].samples);
  EXPECT_EQ(p->chunks[1].count, 5);
  EXPECT_FALSE(p->chunks[1].samples);
  s.commit();
  p = &s.plan();
  ASSERT_EQ(p->chunks.size(), 2U);
  EXPECT_EQ(p->chunks[0].slot, a);
  EXPECT_EQ(p->chunks[0].first, 3);
  EXPECT_EQ(p->chunks[0].count, 1);
  EXPECT_EQ(p->chunks[1].first, 5);
  EXPECT_EQ(p->chunks[1].count, 7);
  EXPECT_TRUE(p->chunks[1].samples);
  EXPECT_EQ(p->rows, 8);
}

TEST(Schedule, counts_pages_exactly) {
  const Schedule s({.max_batch_rows = 8, .max_running = 4, .pages = 100, .page_tokens = 4});
  EXPECT_EQ(s.pages_for(1, 1), 1);
  EXPECT_EQ(s.pages_for(4, 1), 1);  // the last token is never written
  EXPECT_EQ(s.pages_for(4, 2), 2);
  EXPECT_EQ(s.pages_for(1 << 30, 1 << 30), 1 << 29);
}

TEST(Schedule, admits_when_all_pages_can_be_reserved_and_nobody_overtakes) {
  Schedule s({.max_batch_rows = 64, .max_running = 4, .pages = 10, .page_tokens = 4});
  const Slot big = s.submit("", 20, 5);    // 6 pages
  const Slot other = s.submit("", 20, 5);  // 6 pages: has to wait
  const Slot small = s.submit("", 1, 1);   // would fit, but waits its turn
  EXPECT_EQ(s.plan().admitted, (std::vector<Slot>{big}));
  s.commit();
  EXPECT_EQ(s.reserved_pages(), 6);
  EXPECT_EQ(s.queued(), 2);
  s.remove(big);
  EXPECT_EQ(s.plan().admitted, (std::vector<Slot>{other, small}));
}

TEST(Schedule, takes_accounts_in_turn) {
  Schedule s({.max_batch_rows = 64, .max_running = 1, .pages = 10, .page_tokens = 4});
  std::map<Slot, std::string> name;
  for (int i = 0; i < 4; ++i) name[s.submit("greedy", 1, 1)] = "greedy" + std::to_string(i);
  for (int i = 0; i < 2; ++i) name[s.submit("modest", 1, 1)] = "modest" + std::to_string(i);
  std::vector<std::string> order;
  while (s.queued() > 0) {
    const Slot slot = s.plan().admitted.at(0);
    order.push_back(name[slot]);
    s.commit();
    s.remove(slot);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"greedy0", "modest0", "greedy1", "modest1", "greedy2", "greedy3"}));
}

// One random life of a schedule. Everything that the engine relies on is checked at every step.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed)
      : random_(seed),
        limits_{.max_batch_rows = below(3) == 0 ? 1 + below(4) : 1 + below(64),
                .max_running = 1 + below(12),
                .pages = 4 + below(40),
                .page_tokens = 1 + below(9)},
        schedule_(limits_),
        pool_(limits_.pages) {}

  void run() {
    int to_submit = 5 + below(40);
    const int burst = below(2) == 0 ? 1 : 8;
    for (int tick = 0; to_submit > 0 || !live_.empty(); ++tick) {
      ASSERT_LT(tick, 100000) << "does not come to an end";
      for (int n = below(burst + 1); n > 0 && to_submit > 0; --n, --to_submit) submit(tick);
      if (!live_.empty() && below(10) == 0) cancel();
      step(tick);
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_EQ(schedule_.running() + schedule_.queued(), 0);
    EXPECT_EQ(schedule_.reserved_pages(), 0);
    EXPECT_EQ(pool_.used(), 0);
  }

 private:
  struct Life {
    std::string account;
    int number = 0;  // in order of arrival
    std::int32_t prompt = 0, max_tokens = 0, stops_after = 0;
    std::int32_t computed = 0, sampled = 0;
    bool running = false;
    int last_step = 0;
    std::map<std::string, int> overtaken;  // admissions of other accounts while it was first in its own line
    std::vector<std::int32_t> pages;
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  void submit(int tick) {
    Life l;
    l.account = std::string(1, static_cast<char>('a' + below(4)));
    l.number = arrivals_++;
    const int most = limits_.pages * limits_.page_tokens;
    l.prompt = 1 + below(most);
    l.max_tokens = 1 + below(most - l.prompt + 1);
    l.stops_after = below(3) == 0 ? 1 + below(l.max_tokens) : l.max_tokens;
    l.last_step = tick;
    const Slot slot = schedule_.submit(l.account, l.prompt, l.max_tokens);
    ASSERT_TRUE(live_.emplace(slot, l).second) << "slot given twice";
  }

  void end(Slot slot) {
    pool_.give_back(live_.at(slot).pages);
    schedule_.remove(slot);
    live_.erase(slot);
  }

  void cancel() {
    auto victim = live_.begin();
    std::advance(victim, below(static_cast<int>(live_.size())));
    end(victim->first);
  }

  void check_admissions(const Plan& plan, int tick) {
    for (const Slot slot : plan.admitted) {
      Life& l = live_.at(slot);
      ASSERT_FALSE(l.running);
      std::set<std::string> first_seen;
      std::map<std::string, std::pair<int, Life*>> first;  // per account, who is first in line
      for (auto& [other, life] : live_) {
        if (life.running || other == slot) continue;
        auto& f = first.try_emplace(life.account, life.number, &life).first->second;
        if (life.number < f.first) f = {life.number, &life};
      }
      if (const auto f = first.find(l.account); f != first.end()) {
        ASSERT_LT(l.number, f->second.first) << "overtaken within an account";
      }
      for (auto& [account, f] : first) {
        if (account == l.account) continue;
        ASSERT_LE(++f.second->overtaken[l.account], 1) << "an account had two turns before another had one";
      }
      l.running = true;
      l.last_step = tick;
    }
  }

  void step(int tick) {
    const Plan& plan = schedule_.plan();
    check_admissions(plan, tick);
    ASSERT_EQ(plan.chunks.empty(), live_.empty());
    ASSERT_LE(plan.rows, limits_.max_batch_rows);
    ASSERT_LE(schedule_.running(), limits_.max_running);
    ASSERT_LE(schedule_.reserved_pages(), limits_.pages);
    std::int32_t rows = 0;
    std::set<Slot> seen, ended;
    for (const Chunk& chunk : plan.chunks) {
      ASSERT_TRUE(seen.insert(chunk.slot).second) << "twice in one step";
      Life& l = live_.at(chunk.slot);
      ASSERT_TRUE(l.running);
      ASSERT_EQ(chunk.first, l.computed) << "a position lost or doubled";
      ASSERT_GT(chunk.count, 0);
      rows += chunk.count;
      l.computed += chunk.count;
      ASSERT_LE(l.computed, l.prompt + l.sampled) << "a token that does not exist";
      ASSERT_EQ(chunk.samples, l.computed == l.prompt + l.sampled);
      while (static_cast<int>(l.pages.size()) * limits_.page_tokens < l.computed) l.pages.push_back(pool_.take());
      if (chunk.samples && ++l.sampled == l.stops_after) ended.insert(chunk.slot);
      l.last_step = tick;
    }
    ASSERT_EQ(rows, plan.rows);
    ASSERT_LE(pool_.used(), schedule_.reserved_pages());
    check_no_starvation(tick);
    schedule_.commit();
    for (const Slot slot : ended) end(slot);
  }

  void check_no_starvation(int tick) {
    for (const auto& [slot, l] : live_) {
      if (!l.running || l.computed < l.prompt) continue;
      ASSERT_LE(tick - l.last_step, limits_.max_running) << "a running stream stands still";
    }
  }

  std::mt19937_64 random_;
  ScheduleLimits limits_;
  Schedule schedule_;
  PagePool pool_;
  std::map<Slot, Life> live_;
  int arrivals_ = 0;
};

TEST(Schedule, simulation_of_many_seeds) {
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Simulation(seed).run();
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(PagePool, hands_out_touched_pages_first) {
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
