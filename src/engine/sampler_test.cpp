#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <utility>

#include "engine/random.h"

namespace glia::engine {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
static_assert(philox4x32({0, 0, 0, 0}, {0, 0}) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

using Tokens = std::vector<std::int32_t>;

// The same rules, written to be read: full sort, double precision. `margin`: how far the set of top_p was from being
// another one, in share of the mass and in weight.
std::vector<double> reference_probabilities(std::vector<double> logits, const Sampling& s, const Tokens& prompt,
                                            const Tokens& answer, double* margin = nullptr) {
  const std::size_t n = logits.size();
  std::set<std::int32_t> seen(prompt.begin(), prompt.end());
  seen.insert(answer.begin(), answer.end());
  for (const auto id : seen) {
    double& l = logits[static_cast<std::size_t>(id)];
    l = l > 0 ? l / static_cast<double>(s.repetition_penalty) : l * static_cast<double>(s.repetition_penalty);
  }
  std::map<std::int32_t, int> counts;
  for (const auto id : answer) ++counts[id];
  for (const auto& [id, count] : counts) {
    logits[static_cast<std::size_t>(id)] -=
        static_cast<double>(s.frequency_penalty) * count + static_cast<double>(s.presence_penalty);
  }
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p(n);
  for (std::size_t i = 0; i < n; ++i) p[i] = std::exp((logits[i] - top) / static_cast<double>(s.temperature));
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
  if (s.top_k > 0) {
    for (std::size_t r = static_cast<std::size_t>(s.top_k); r < n; ++r) p[order[r]] = 0;
  }
  if (s.top_p < 1.0F) {
    const double whole = std::accumulate(p.begin(), p.end(), 0.0);
    double sum = 0;
    for (std::size_t r = 0; r < n; ++r) {
      const double left = static_cast<double>(s.top_p) * whole - sum;
      if (margin != nullptr) *margin = std::min(*margin, std::abs(left) / whole);
      if (margin != nullptr && r > 0 && left <= 0 && p[order[r - 1]] > 0) {
        const double gap = p[order[r - 1]] - p[order[r]];
        *margin = std::min(*margin, gap > 0 ? gap : 1);
      }
      if (r > 0 && left <= 0) p[order[r]] = 0;
      sum += p[order[r]];
    }
  }
  for (double& x : p) x = x < static_cast<double>(s.min_p) ? 0 : x;
  const double whole = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= whole;
  return p;
}

std::vector<float> random_logits(std::size_t n, float spread, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(n);
  for (float& l : logits) l = normal(random);
  return logits;
}

Sampler make_sampler(const Sampling& s, std::uint64_t seed, const Tokens& prompt, const Tokens& answer, std::size_t n) {
  Sampler sampler(s, seed, prompt, static_cast<std::int32_t>(n), 64);
  for (const auto id : answer) sampler.accept(id);
  return sampler;
}

// Upper quantile of chi-square at 1e-6 (Wilson and Hilferty).
double chi_square_limit(int freedom) {
  const double k = freedom;
  const double z = 4.753;
  return k * std::pow(1 - 2 / (9 * k) + z * std::sqrt(2 / (9 * k)), 3);
}

struct Case {
  const char* name;
  Sampling sampling;
};

std::vector<Case> cases() {
  return {
      {"plain", {.temperature = 1.0F}},
      {"cold", {.temperature = 0.3F}},
      {"hot", {.temperature = 3.0F}},
      {"top_k", {.temperature = 1.0F, .top_k = 7}},
      {"top_k_1", {.temperature = 1.0F, .top_k = 1}},
      {"top_k_all", {.temperature = 1.0F, .top_k = 100000}},
      {"top_p", {.temperature = 1.0F, .top_p = 0.8F}},
      {"top_p_0", {.temperature = 1.0F, .top_p = 0.0F}},
      {"top_p_wide", {.temperature = 2.0F, .top_p = 0.999F}},
      {"min_p", {.temperature = 1.0F, .min_p = 0.1F}},
      {"k_p_min", {.temperature = 0.9F, .top_k = 20, .top_p = 0.9F, .min_p = 0.05F}},
      {"repetition", {.temperature = 1.0F, .repetition_penalty = 1.7F}},
      {"reward", {.temperature = 1.0F, .top_p = 0.9F, .repetition_penalty = 0.8F}},
      {"frequency", {.temperature = 1.0F, .frequency_penalty = 0.7F}},
      {"presence", {.temperature = 1.0F, .presence_penalty = 1.5F}},
      {"everything",
       {.temperature = 0.8F,
        .top_k = 25,
        .top_p = 0.95F,
        .min_p = 0.02F,
        .repetition_penalty = 1.2F,
        .frequency_penalty = -0.3F,
        .presence_penalty = 0.4F}},
  };
}

const Tokens kPrompt = {3, 5, 5, 8, 13};
const Tokens kAnswer = {5, 7, 7, 7, 2};

TEST(Sampler, draws_from_the_reference_distribution) {
  for (const std::size_t vocab : {40U, 1500U}) {
    const auto logits = random_logits(vocab, 2.0F, 17 + vocab);
    TokenWeights weights(static_cast<std::int32_t>(vocab));
    for (const Case& c : cases()) {
      const auto p = reference_probabilities({logits.begin(), logits.end()}, c.sampling, kPrompt, kAnswer);
      const Sampler sampler = make_sampler(c.sampling, 4711, kPrompt, kAnswer, vocab);
      constexpr int kDraws = 10000;
      std::vector<int> hits(vocab, 0);
      for (int i = 0; i < kDraws; ++i) {
        auto row = logits;
        ++hits[static_cast<std::size_t>(sampler.sample(row, static_cast<std::uint64_t>(i), weights))];
      }
      double statistic = 0, rare = 0, rare_hits = 0;
      int cells = 0;
      for (std::size_t i = 0; i < vocab; ++i) {
        ASSERT_TRUE(p[i] > 0 || hits[i] == 0) << c.name << ": token " << i << " has no weight";
        const double expected = p[i] * kDraws;
        if (expected < 8) {
          rare += expected;
          rare_hits += hits[i];
          continue;
        }
        statistic += (hits[i] - expected) * (hits[i] - expected) / expected;
        ++cells;
      }
      if (rare >= 8) {
        statistic += (rare_hits - rare) * (rare_hits - rare) / rare;
        ++cells;
      }
      EXPECT_LT(statistic, chi_square_limit(std::max(cells - 1, 1))) << c.name << ", vocabulary " << vocab;
    }
  }
}

// Beyond statistics: the very token that the definition gives, unless u falls within rounding of a border.
TEST(Sampler, draws_the_token_of_the_definition) {
  std::mt19937_64 random(99);
  int decided = 0, tried = 0;
  for (const std::size_t vocab : {1U, 2U, 511U, 512U, 513U, 5000U}) {
    TokenWeights weights(static_cast<std::int32_t>(vocab));
    for (int round = 0; round < 12; ++round) {
      const float spread = std::array{0.01F, 1.0F, 4.0F, 12.0F}[static_cast<std::size_t>(round % 4)];
      const auto logits = random_logits(vocab, spread, random());
      for (const Case& c : cases()) {
        Tokens prompt, answer;
        for (int i = 0; i < 6; ++i) prompt.push_back(static_cast<std::int32_t>(random() % vocab));
        for (int i = 0; i < 6; ++i) answer.push_back(static_cast<std::int32_t>(random() % vocab));
        double margin = 1;
        const auto p = reference_probabilities({logits.begin(), logits.end()}, c.sampling, prompt, answer, &margin);
        const std::uint64_t seed = random();
        const double u = random_unit(seed, 3);
        double sum = 0;
        std::int32_t expected = -1;
        bool near = margin < 1e-6 && c.sampling.top_p > 0;
        for (std::size_t i = 0; i < vocab; ++i) {
          if (p[i] > 0) near = near || std::abs(sum - u) < 2e-5;
          sum += p[i];
          if (expected < 0 && u < sum) expected = static_cast<std::int32_t>(i);
        }
        ++tried;
        if (near || expected < 0) continue;
        ++decided;
        auto row = logits;
        ASSERT_EQ(make_sampler(c.sampling, seed, prompt, answer, vocab).sample(row, 3, weights), expected)
            << c.name << ", vocabulary " << vocab << ", spread " << spread;
      }
    }
  }
  EXPECT_GT(decided, tried * 9 / 10);
}

TEST(Sampler, greedy_takes_the_lowest_of_equals) {
  TokenWeights weights(40);
  std::vector<float> logits(40, 1.0F);
  logits[7] = logits[20] = logits[39] = 2.5F;
  const Sampler greedy({.temperature = 0.0F}, 1, {}, 40, 8);
  EXPECT_EQ(greedy.sample(logits, 0, weights), 7);
  Sampler penalised({.temperature = 0.0F, .presence_penalty = 0.1F}, 1, {}, 40, 8);
  penalised.accept(7);
  EXPECT_EQ(penalised.sample(logits, 1, weights), 20);
}

TEST(Sampler, equal_weights_rank_by_id) {
  TokenWeights weights(3000);
  for (const Sampling& s :
       {Sampling{.temperature = 1.0F, .top_k = 5}, Sampling{.temperature = 1.0F, .top_p = 0.0016F}}) {
    std::set<std::int32_t> drawn;
    for (std::uint64_t i = 0; i < 400; ++i) {
      std::vector<float> logits(3000, -1.5F);
      drawn.insert(Sampler(s, 5, {}, 3000, 8).sample(logits, i, weights));
    }
    EXPECT_EQ(drawn, (std::set<std::int32_t>{0, 1, 2, 3, 4}));
  }
}

TEST(Sampler, depends_on_seed_and_index_alone) {
  const auto logits = random_logits(1000, 1.0F, 1);
  TokenWeights weights(1000);
  const Sampler a({.temperature = 1.0F}, 1, {}, 1000, 8), b({.temperature = 1.0F}, 2, {}, 1000, 8);
  std::vector<std::int32_t> forward, backward, other;
  for (std::uint64_t i = 0; i < 64; ++i) {
    auto row = logits;
    forward.push_back(a.sample(row, i, weights));
    row = logits;
    other.push_back(b.sample(row, i, weights));
  }
  for (std::uint64_t i = 64; i-- > 0;) {
    auto row = logits;
    backward.insert(backward.begin(), a.sample(row, i, weights));
  }
  EXPECT_EQ(forward, backward);
  EXPECT_NE(forward, other);
}

TEST(Sampler, survives_numbers_that_are_none) {
  const std::vector<Sampling> ways = {{.temperature = 0.0F},
                                      {.temperature = 1.0F},
                                      {.temperature = 1e-38F},
                                      {.temperature = 1e38F, .top_p = 0.5F},
                                      {.temperature = 1.0F, .top_k = 3, .top_p = 0.5F, .min_p = 0.5F}};
  TokenWeights weights(600);
  for (const Sampling& s : ways) {
    const Sampler sampler(s, 1, {}, 600, 8);
    const auto draw = [&](std::vector<float> logits, std::uint64_t i) { return sampler.sample(logits, i, weights); };
    for (std::uint64_t i = 0; i < 50; ++i) {
      std::vector<float> logits(600, kNan);
      logits[300] = -3.0F;
      EXPECT_EQ(draw(logits, i), 300);
      logits.assign(600, -kInf);
      logits[599] = -3e38F;
      EXPECT_EQ(draw(logits, i), 599);
      logits.assign(600, 3e38F);
      logits[10] = kInf;
      logits[11] = kNan;
      EXPECT_EQ(draw(logits, i), 10);
      logits[12] = kInf;
      EXPECT_TRUE(std::set({10, 12}).contains(draw(logits, i)));
      logits = random_logits(600, 1e37F, i);
      const auto id = draw(logits, i);
      EXPECT_TRUE(id >= 0 && id < 600);
    }
    for (const float nothing : {kNan, -kInf}) {
      try {
        draw(std::vector<float>(600, nothing), 0);
        ADD_FAILURE() << "expected an error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::internal);
      }
    }
  }
  // Penalties that leave the range of float.
  Sampler wild({.temperature = 1.0F, .repetition_penalty = 1e-38F, .frequency_penalty = 3e38F}, 1, {}, 600, 8);
  wild.accept(4);
  wild.accept(4);
  std::vector<float> logits(600, 1.0F);
  logits[4] = 2.0F;
  EXPECT_NE(wild.sample(logits, 0, weights), 4);
}

TEST(Sampler, refuses_parameters_out_of_range) {
  const std::vector<std::pair<Sampling, std::string>> bad = {
      {{.temperature = -0.1F}, "temperature"},
      {{.temperature = kNan}, "temperature"},
      {{.temperature = kInf}, "temperature"},
      {{.top_k = -1}, "top_k"},
      {{.top_p = 1.1F}, "top_p"},
      {{.top_p = kNan}, "top_p"},
      {{.min_p = -0.1F}, "min_p"},
      {{.repetition_penalty = 0.0F}, "repetition_penalty"},
      {{.frequency_penalty = kInf}, "frequency_penalty"},
      {{.presence_penalty = kNan}, "presence_penalty"},
  };
  for (const auto& [sampling, name] : bad) {
    try {
      check_sampling(sampling);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_input);
      EXPECT_TRUE(error.detail().starts_with(name)) << error.detail();
    }
  }
  check_sampling({});
  check_sampling({.temperature = 0.0F, .top_p = 0.0F, .min_p = 1.0F});
}

}  // namespace
}  // namespace glia::engine
