// The policy alone, under virtual time: no threads, no model; one step is one tick.
#include "engine/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "engine/kv_pages.h"

namespace glia::engine {
namespace {

/// Room for so many sequences, and for so many positions of all of them together.
struct Room final : Admission {
  explicit Room(int places, int positions = 1 << 20) : places(places), positions(positions) {}
  std::optional<std::int32_t> enter(Slot slot) override {
    if (places == 0 || taken() + needs[slot] > positions) return std::nullopt;
    --places;
    has[slot] = needs[slot];
    return computed;
  }
  bool extend(Slot slot, std::int32_t wanted) override {
    needs[slot] = std::max(needs[slot], wanted);
    if (taken() - has[slot] + wanted > positions) return false;
    has[slot] = std::max(has[slot], wanted);
    return true;
  }
  void leave(Slot slot) override {
    has.erase(slot);
    ++places;
    left.push_back(slot);
  }
  int taken() const {
    int sum = 0;
    for (const auto& [slot, n] : has) sum += n;
    return sum;
  }
  int places;
  int positions;
  std::int32_t computed = 0;
  std::map<Slot, int> needs, has;
  std::vector<Slot> left;
};

void commit(Schedule& s, const Plan& plan, std::vector<std::int32_t> accepted = {}) {
  accepted.resize(plan.chunks.size());
  s.commit(accepted);
}

TEST(Schedule, decodes_first_then_prompts_in_chunks) {
  Room room(2);
  Schedule s({.max_batch_rows = 8, .max_running = 4}, room);
  const Slot a = s.submit("", 3), b = s.submit("", 12);
  const Plan* p = &s.plan();
  ASSERT_EQ(p->admitted, (std::vector<Slot>{a, b}));
  ASSERT_EQ(p->chunks.size(), 2U);
  EXPECT_EQ(p->chunks[0].count, 3);
  EXPECT_TRUE(p->chunks[0].samples);
  EXPECT_EQ(p->chunks[1].count, 5);
  EXPECT_FALSE(p->chunks[1].samples);
  commit(s, *p);
  EXPECT_TRUE(s.decodes(a));
  EXPECT_FALSE(s.decodes(b));
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

TEST(Schedule, starts_after_what_is_computed_already) {
  Room room(1);
  room.computed = 8;
  Schedule s({.max_batch_rows = 64, .max_running = 4}, room);
  const Slot a = s.submit("", 12);
  const Plan& p = s.plan();
  ASSERT_EQ(p.chunks.size(), 1U);
  EXPECT_EQ(p.chunks[0].first, 8);
  EXPECT_EQ(p.chunks[0].count, 4);
  EXPECT_TRUE(p.chunks[0].samples);
  commit(s, p);
  EXPECT_EQ(s.computed(a), 12);
}

TEST(Schedule, nobody_overtakes_the_one_that_waits_for_room) {
  Room room(1);
  Schedule s({.max_batch_rows = 64, .max_running = 4}, room);
  const Slot first = s.submit("", 20), second = s.submit("", 20), third = s.submit("", 1);
  EXPECT_EQ(s.plan().admitted, (std::vector<Slot>{first}));
  commit(s, Plan{{}, {Chunk{}}, 0});
  EXPECT_EQ(s.queued(), 2);
  room.places = 2;
  EXPECT_EQ(s.plan().admitted, (std::vector<Slot>{second, third}));
}

TEST(Schedule, takes_accounts_in_turn) {
  Room room(6);
  Schedule s({.max_batch_rows = 64, .max_running = 1}, room);
  std::map<Slot, std::string> name;
  for (int i = 0; i < 4; ++i) name[s.submit("greedy", 1)] = "greedy" + std::to_string(i);
  for (int i = 0; i < 2; ++i) name[s.submit("modest", 1)] = "modest" + std::to_string(i);
  std::vector<std::string> order;
  while (s.queued() > 0) {
    const Plan& p = s.plan();
    const Slot slot = p.admitted.at(0);
    order.push_back(name[slot]);
    commit(s, p);
    s.remove(slot);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"greedy0", "modest0", "greedy1", "modest1", "greedy2", "greedy3"}));
}

TEST(Schedule, prompts_of_accounts_are_computed_in_turn) {
  Room room(4);
  Schedule s({.max_batch_rows = 10, .max_running = 4}, room);
  const Slot a = s.submit("greedy", 100), b = s.submit("greedy", 100), c = s.submit("modest", 15);
  std::vector<Slot> order;
  for (int i = 0; i < 5; ++i) {
    const Plan& p = s.plan();
    for (const Chunk& chunk : p.chunks) order.push_back(chunk.slot);
    commit(s, p);
  }
  EXPECT_EQ(order, (std::vector<Slot>{a, c, a, c, a, c, a})) << "the last chunk of c, then its decode row beside a";
  EXPECT_EQ(s.computed(b), 0);
}

TEST(Schedule, a_prompt_beside_decode_rows_is_held_to_the_steps_limit) {
  Room room(2);
  Schedule s({.max_batch_rows = 100, .max_running = 4}, room);
  s.submit("", 1);
  commit(s, s.plan());
  s.submit("", 200);
  EXPECT_EQ(s.plan({.prompt_rows = 7}).rows, 8);
  commit(s, Plan{{}, {Chunk{}, Chunk{}}, 0});
  EXPECT_EQ(s.plan().rows, 100);
}

TEST(Schedule, guesses_take_what_is_left_of_rows_and_memory) {
  Room room(2, 12);
  Schedule s({.max_batch_rows = 6, .max_running = 4}, room);
  const Slot a = s.submit("", 2);
  room.needs[a] = 2;
  commit(s, s.plan());
  s.offer(a, 4);
  const Plan* p = &s.plan();
  ASSERT_EQ(p->chunks.size(), 1U);
  EXPECT_EQ(p->chunks[0].first, 2);
  EXPECT_EQ(p->chunks[0].count, 5);
  EXPECT_EQ(p->chunks[0].drafts, 4);
  EXPECT_TRUE(p->chunks[0].samples);
  commit(s, *p, {2});
  EXPECT_EQ(s.computed(a), 5) << "the token before the guesses, and the two that were right";
  p = &s.plan();
  EXPECT_EQ(p->chunks[0].count, 1) << "an offer holds for one step";
  commit(s, *p);
  s.offer(a, 9);
  p = &s.plan();
  EXPECT_EQ(p->chunks[0].drafts, 5) << "rows";
  commit(s, *p);
  s.offer(a, 5);
  EXPECT_EQ(s.plan().chunks[0].drafts, 0) << "memory";
}

TEST(Schedule, the_last_that_came_makes_room_and_comes_back_first) {
  Room room(3, 10);
  Schedule s({.max_batch_rows = 64, .max_running = 4}, room);
  const Slot a = s.submit("", 4), b = s.submit("", 4), c = s.submit("", 1);
  room.needs = {{a, 4}, {b, 4}, {c, 9}};
  const Plan* p = &s.plan();
  EXPECT_EQ(p->admitted, (std::vector<Slot>{a, b}));
  commit(s, *p);
  p = &s.plan();  // both grow to 5, which is all there is
  EXPECT_EQ(p->chunks.size(), 2U);
  commit(s, *p);
  p = &s.plan();
  EXPECT_EQ(room.left, std::vector<Slot>{b});
  ASSERT_EQ(p->chunks.size(), 1U);
  EXPECT_EQ(p->chunks[0].slot, a);
  EXPECT_EQ(s.queued(), 2);
  commit(s, *p);
  s.remove(a);
  room.has.erase(a);
  p = &s.plan();
  EXPECT_EQ(p->admitted, std::vector<Slot>{b}) << "c has no room beside it";
  ASSERT_EQ(p->chunks.size(), 1U);
  EXPECT_EQ(p->chunks[0].first, 0);
  EXPECT_EQ(p->chunks[0].count, 6) << "its prompt and the two tokens that it had";
  EXPECT_TRUE(p->chunks[0].samples);
  commit(s, *p);
  EXPECT_TRUE(s.decodes(b));
}

// One random life of schedule and pages together. Everything that the engine relies on is checked at every step: the
// pages are real memory here, and what a sequence reads back must be its own tokens.
class Simulation final : private Admission {
 public:
  Simulation(std::uint64_t seed, bool share)
      : random_(seed),
        limits_{.max_batch_rows = below(3) == 0 ? 1 + below(4) : 1 + below(64), .max_running = 1 + below(12)},
        kv_(4 + below(40), 1 + below(9), share),
        memory_(static_cast<std::size_t>(kv_.pages() * kv_.page_tokens()), -1),
        schedule_(limits_, *this) {}

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
    EXPECT_EQ(kv_.used(), 0);
    EXPECT_EQ(kv_.committed(), 0);
  }
  int found() const { return found_; }
  int accepted() const { return accepted_; }
  int set_backs() const { return set_backs_; }

 private:
  struct Life {
    std::string account;
    int number = 0;  // in order of arrival
    std::vector<std::int32_t> tokens;
    std::int32_t prompt = 0, max_tokens = 0, stops_after = 0;
    std::int32_t computed = 0, sampled = 0;
    bool running = false;
    int seniority = 0;  // when it first ran; 0: never
    int last_step = 0;
    std::map<std::string, int> overtaken;  // admissions of other accounts while it was first in its own line
    KvPages::Lease lease;
  };

  int below(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }

  /// Prompts of an account begin alike, more or less far; every token tells whose it is.
  std::int32_t token(char account, int position, int variant) { return account * 1'000'000 + position * 100 + variant; }

  void submit(int tick) {
    Life l;
    const auto account = static_cast<char>('a' + below(4));
    l.account = std::string(1, account);
    l.number = arrivals_++;
    const int most = kv_.pages() * kv_.page_tokens();
    l.prompt = 1 + below(most);
    l.max_tokens = 1 + below(most - l.prompt + 1);
    const int common = below(l.prompt + 1);
    const int variant = below(3);
    for (int p = 0; p < l.prompt; ++p) l.tokens.push_back(token(account, p, p < common ? 0 : variant));
    l.stops_after = below(3) == 0 ? 1 + below(l.max_tokens) : l.max_tokens;
    l.last_step = tick;
    const Slot slot = schedule_.submit(l.account, l.prompt);
    ASSERT_TRUE(live_.emplace(slot, std::move(l)).second) << "slot given twice";
  }

  std::optional<std::int32_t> enter(Slot slot) override {
    Life& l = live_.at(slot);
    const bool alone = schedule_.running() == 0;
    if (!kv_.enter(l.lease, l.account, l.tokens, l.max_tokens - l.sampled, static_cast<PrefixCache>(below(3)))) {
      EXPECT_FALSE(alone) << "nothing runs, and there is no room";
      return std::nullopt;
    }
    l.computed = kv_.cached_tokens(l.lease);
    EXPECT_LT(l.computed, l.prompt + l.sampled);
    check_memory(l, l.computed);
    if (l.seniority == 0) found_ += l.computed;
    return l.computed;
  }

  bool extend(Slot slot, std::int32_t positions) override {
    Life& l = live_.at(slot);
    EXPECT_TRUE(l.running);
    EXPECT_LE(positions, l.prompt + l.max_tokens - 1) << "memory for what it can never be";
    if (kv_.extend(l.lease, positions)) return true;
    EXPECT_GT(schedule_.running(), 1) << "alone, and there is no room";
    return false;
  }

  void leave(Slot slot) override {
    Life& l = live_.at(slot);
    ASSERT_TRUE(l.running);
    for (const auto& [other, life] : live_) {
      if (!life.running) continue;
      ASSERT_LE(life.seniority, l.seniority) << "not the last that came makes room";
    }
    kv_.release(l.lease);
    l.running = false;
    l.computed = 0;
    ++set_backs_;
  }

  std::int32_t& place(const Life& l, std::int32_t position) {
    const auto page = l.lease.pages()[static_cast<std::size_t>(position / kv_.page_tokens())];
    return memory_.at(static_cast<std::size_t>(page * kv_.page_tokens() + position % kv_.page_tokens()));
  }
  void check_memory(const Life& l, std::int32_t positions) {
    for (std::int32_t p = 0; p < positions; ++p) {
      ASSERT_EQ(place(l, p), l.tokens[static_cast<std::size_t>(p)]) << "another's page, at " << p;
    }
  }

  void end(Slot slot) {
    kv_.release(live_.at(slot).lease);
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
      std::map<std::string, std::pair<int, Life*>> first;  // per account, who is first in line
      for (auto& [other, life] : live_) {
        if (life.running || other == slot) continue;
        if (life.seniority > 0) {
          ASSERT_GT(l.seniority, 0) << "overtakes one that was set back";
          ASSERT_LT(l.seniority, life.seniority) << "overtakes one that was set back";
          continue;
        }
        auto& f = first.try_emplace(life.account, life.number, &life).first->second;
        if (life.number < f.first) f = {life.number, &life};
      }
      l.running = true;
      l.last_step = tick;
      if (l.seniority > 0) continue;
      l.seniority = ++admissions_;
      if (const auto f = first.find(l.account); f != first.end()) {
        ASSERT_LT(l.number, f->second.first) << "overtaken within an account";
      }
      for (auto& [account, f] : first) {
        if (account == l.account) continue;
        ASSERT_LE(++f.second->overtaken[l.account], 1) << "an account had two turns before another had one";
      }
    }
  }

  /// Guesses for some of what decodes, never past its last position.
  void offer() {
    for (auto& [slot, l] : live_) {
      const std::int32_t most = l.max_tokens - l.sampled - 1;
      if (l.running && most > 0 && below(2) == 0) schedule_.offer(slot, 1 + below(std::min(most, 12)));
    }
  }

  void write(const Chunk& chunk) {
    Life& l = live_.at(chunk.slot);
    kv_.grow(l.lease, chunk.first + chunk.count);
    for (std::int32_t p = chunk.first; p < chunk.first + chunk.count; ++p) {
      const bool known = p < l.prompt + l.sampled;
      place(l, p) = known ? l.tokens[static_cast<std::size_t>(p)] : kGuess;
    }
  }

  /// The tokens that the step gives; how many guesses were right.
  std::int32_t sample(const Chunk& chunk) {
    Life& l = live_.at(chunk.slot);
    if (!chunk.samples) return 0;
    const std::int32_t right = chunk.drafts > 0 ? below(chunk.drafts + 1) : 0;
    std::int32_t sampled = 0;
    while (sampled <= right && l.sampled < l.stops_after) {
      const auto at = l.prompt + l.sampled;
      l.tokens.push_back(token(l.account[0], at, 0));
      if (sampled < right) place(l, at) = l.tokens.back();  // the guess was this
      ++l.sampled;
      ++sampled;
    }
    accepted_ += sampled - 1;
    return sampled - 1;
  }

  void step(int tick) {
    offer();
    const Plan& plan = schedule_.plan({.prompt_rows = 1 + below(64)});
    check_admissions(plan, tick);
    ASSERT_EQ(plan.chunks.empty(), live_.empty());
    ASSERT_LE(plan.rows, limits_.max_batch_rows);
    ASSERT_LE(schedule_.running(), limits_.max_running);
    ASSERT_LE(kv_.committed(), kv_.pages());
    std::int32_t rows = 0;
    std::set<Slot> seen;
    for (const Chunk& chunk : plan.chunks) {
      ASSERT_TRUE(seen.insert(chunk.slot).second) << "twice in one step";
      Life& l = live_.at(chunk.slot);
      ASSERT_TRUE(l.running);
      ASSERT_EQ(chunk.first, l.computed) << "a position lost or doubled";
      ASSERT_GT(chunk.count - chunk.drafts, 0);
      ASSERT_LE(chunk.first + chunk.count - chunk.drafts, l.prompt + l.sampled) << "a token that does not exist";
      ASSERT_EQ(chunk.samples, chunk.first + chunk.count - chunk.drafts == l.prompt + l.sampled);
      ASSERT_TRUE(chunk.samples || chunk.drafts == 0);
      rows += chunk.count;
      l.last_step = tick;
      write(chunk);
    }
    ASSERT_EQ(rows, plan.rows);
    std::vector<std::int32_t> accepted;
    for (const Chunk& chunk : plan.chunks) {
      accepted.push_back(sample(chunk));
      live_.at(chunk.slot).computed += chunk.count - chunk.drafts + accepted.back();
    }
    schedule_.commit(accepted);
    for (const Chunk& chunk : plan.chunks) {
      Life& l = live_.at(chunk.slot);
      ASSERT_EQ(l.computed, schedule_.computed(chunk.slot));
      kv_.share(l.lease, l.tokens, l.computed);
      check_memory(l, l.computed);
    }
    ASSERT_LE(kv_.used(), kv_.committed());
    ASSERT_LE(kv_.used() + kv_.cached(), kv_.pages());
    check_no_starvation(tick);
    for (const Slot slot : seen) {
      if (live_.at(slot).sampled == live_.at(slot).stops_after) end(slot);
    }
  }

  void check_no_starvation(int tick) {
    for (const auto& [slot, l] : live_) {
      if (!schedule_.decodes(slot)) continue;
      // A turn each, and one more where whoever had the row was set back.
      ASSERT_LE(tick - l.last_step, 2 * limits_.max_running) << "a running stream stands still";
    }
  }

  static constexpr std::int32_t kGuess = -2;  // in memory, and wrong

  std::mt19937_64 random_;
  ScheduleLimits limits_;
  KvPages kv_;
  std::vector<std::int32_t> memory_;
  Schedule schedule_;
  std::map<Slot, Life> live_;
  int arrivals_ = 0;
  int admissions_ = 0;
  int found_ = 0;     // positions that need not be computed
  int accepted_ = 0;  // guesses that were right
  int set_backs_ = 0;
};

TEST(Schedule, simulation_of_many_seeds) {
  int found = 0, accepted = 0, set_backs = 0;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Simulation one(seed, seed % 4 != 0);
    one.run();
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
    if (seed % 4 == 0) {
      ASSERT_EQ(one.found(), 0) << "switched off";
    }
    found += one.found();
    accepted += one.accepted();
    set_backs += one.set_backs();
  }
  EXPECT_GT(found, 50'000);
  EXPECT_GT(accepted, 50'000);
  EXPECT_GT(set_backs, 1'000);
}

}  // namespace
}  // namespace glia::engine
