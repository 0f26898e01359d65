// Guesses in the whole engine: no token, no text and no ending differs from what the plain loop gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

#include "engine/engine_fixture.h"
#include "engine/speculation.h"

namespace glia::engine {
namespace {

using fake::EngineTest;
using fake::Expected;
using fake::expected;
using fake::request;
using fake::Sink;
using fake::Tokens;

// The fake repeats what its prompt says where the sampler lets it: answers full of what can be guessed, end tokens,
// stop strings and the last token among it. With guesses and without, alone and in a crowd, everything is the same.
class Speculation : public EngineTest {
 protected:
  void SetUp() override {
    control_->echo = true;
    // What steps cost decides how much is guessed: here the machine has no say in it, and rows cost nothing.
    auto clock = std::make_unique<ManualClock>();
    control_->clock = clock.get();
    clock_ = std::move(clock);
  }
  GenerateRequest quoting(std::uint64_t seed, float temperature) const {
    auto r = request(30 + seed % 50, 30 + static_cast<std::int32_t>(seed % 7) * 20, seed);
    r.sampling = {.temperature = temperature, .seed = seed};
    if (seed % 3 == 0) r.sampling.repetition_penalty = 1.05F;
    if (seed % 4 == 0) r.sampling.top_p = 0.9F;
    if (seed % 5 == 0) r.prompt[r.prompt.size() / 2] = fake::kEnd;  // guesses run over it
    r.ignore_end_tokens = seed % 10 == 0;
    return r;
  }
  Expected expected_of(const GenerateRequest& r) const { return expected(r, true); }

  // How many tokens of the known answer come true where every step takes the whole guess: what follows the longest
  // agreement with the end, of two tokens or more, the newest of equals. Without index, chances and costs.
  static std::int64_t most_accepted(const GenerateRequest& r, const Tokens& answer) {
    Tokens all = r.prompt;
    all.insert(all.end(), answer.begin(), answer.end());
    std::int64_t accepted = 0;
    for (std::size_t known = r.prompt.size() + 1; known < all.size();) {  // the prompt's own step gives one
      std::size_t best = 1, from = known;
      for (std::size_t end = known - 1; end > 0; --end) {
        std::size_t agreed = 0;
        while (agreed < end && all[end - 1 - agreed] == all[known - 1 - agreed]) ++agreed;
        if (agreed > best) std::tie(best, from) = std::pair(agreed, end);
      }
      const std::size_t left = r.prompt.size() + static_cast<std::size_t>(r.max_tokens) - known;
      std::size_t right = 0;
      while (from < known && right + 1 < left && right < kMostDrafts && known + right < all.size() &&
             all[from + right] == all[known + right]) {
        ++right;
      }
      accepted += static_cast<std::int64_t>(right);
      known += right + 1;
    }
    return accepted;
  }
};

TEST_F(Speculation, says_what_the_plain_loop_says_in_fewer_steps) {
  start();
  std::int64_t tokens = 0, most = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto r = quoting(seed, seed % 2 == 0 ? 0.0F : 0.7F);
    const auto sink = run(r);
    expect_answer(*sink, r);
    tokens += static_cast<std::int64_t>(sink->tokens().size());
    most += most_accepted(r, sink->tokens());
  }
  const ModelStatus s = status();
  EXPECT_EQ(s.generated_tokens, tokens);
  EXPECT_GT(most, tokens / 5) << "these answers can be guessed to 601 of 2,600 tokens: a third is beyond them";
  EXPECT_GE(s.accepted_tokens, most * 99 / 100) << "with rows that cost nothing, all but what is tried too short";
  EXPECT_LT(s.accepted_tokens, s.drafted_tokens) << "the fake never errs; guesses do";
  EXPECT_EQ(s.steps, tokens - s.accepted_tokens) << "every step gives one token and what it accepts";
  EXPECT_EQ(s.kv_pages_used, 0);
}

TEST_F(Speculation, switched_off_it_guesses_nothing) {
  start({.speculation = false});
  const auto r = quoting(2, 0.0F);
  expect_answer(*run(r), r);
  EXPECT_EQ(status().drafted_tokens, 0);
}

TEST_F(Speculation, batch_mates_and_pages_change_nothing) {
  for (const std::int32_t page_tokens : {1, 5, 32}) {
    for (const std::int32_t rows : {3, 16, 512}) {
      start({.page_tokens = page_tokens, .max_batch_rows = rows, .max_running = 6});
      std::vector<GenerateRequest> requests;
      std::vector<std::shared_ptr<Sink>> sinks;
      for (std::uint64_t seed = 0; seed < 12; ++seed)
        requests.push_back(quoting(seed % 8, seed % 2 == 0 ? 0.0F : 0.7F));
      for (const auto& r : requests) sinks.push_back(run(r));
      for (std::size_t i = 0; i < requests.size(); ++i) expect_answer(*sinks[i], requests[i]);
      EXPECT_LE(control_->most_rows, rows);
      control_->most_rows = 0;
      EXPECT_EQ(status().kv_pages_used, 0);
      stop();
    }
  }
}

// A second turn finds the first one's pages in the tree: none of them may hold a guess that was wrong.
TEST_F(Speculation, the_prefix_cache_has_no_wrong_guess) {
  start({.page_tokens = 4});
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    auto r = quoting(seed, 0.7F);
    const auto first = run(r);
    expect_answer(*first, r);
    const auto answer = first->tokens();
    r.prompt.insert(r.prompt.end(), answer.begin(), answer.end());
    r.prompt.push_back(5);
    const auto second = run(r);
    expect_answer(*second, r);
    EXPECT_GE(second->result()->usage.cached_tokens, static_cast<std::int32_t>(r.prompt.size() - 2) / 4 * 4);
  }
  EXPECT_GT(status().accepted_tokens, 100);
}

TEST_F(Speculation, stop_strings_inside_what_was_guessed) {
  start();
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    auto r = quoting(seed, 0.0F);
    r.ignore_end_tokens = true;
    const Expected whole = expected_of(r);
    r.stop = {whole.text.substr(whole.text.size() / 2, 3)};
    const auto sink = run(r);
    EXPECT_EQ(sink->wait().text(), whole.text.substr(0, whole.text.find(r.stop[0])));
    EXPECT_EQ(sink->result()->reason, FinishReason::stop);
    EXPECT_EQ(static_cast<std::int32_t>(sink->tokens().size()), sink->result()->usage.completion_tokens);
  }
  EXPECT_GT(status().accepted_tokens, 100);
}

TEST_F(Speculation, cancelling_amid_what_was_guessed) {
  start();
  auto r = quoting(2, 0.0F);
  r.ignore_end_tokens = true;
  r.max_tokens = 400;
  for (std::size_t at = 1; at < 60; at += 3) {
    auto sink = std::make_shared<Sink>();
    std::mutex mutex;
    std::shared_ptr<Generation> handle;
    sink->on_text = [&](Sink& s) {
      const std::lock_guard lock(mutex);
      if (s.tokens().size() >= at) handle->cancel();
    };
    {
      const std::lock_guard lock(mutex);
      handle = model_->generate(r, sink);
    }
    EXPECT_EQ(sink->wait().result()->reason, FinishReason::cancelled);
    EXPECT_LE(sink->tokens().size(), at + 2) << "not one token after it, but for those of the same piece";
    EXPECT_LE(sink->result()->usage.completion_tokens, static_cast<std::int32_t>(at) + 3);
  }
  EXPECT_EQ(status().kv_pages_used, 0);
}

// Without a seed every answer is another; the share of each token must be what its weight says.
TEST_F(Speculation, sampled_tokens_are_distributed_as_their_weights) {
  start();
  GenerateRequest r;
  r.prompt = {3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 3, 4};
  r.max_tokens = 2;
  r.sampling = {.temperature = 1.5F, .top_k = 8};
  // What the second token is after the likeliest first one, which is a guess that came true.
  std::vector<float> logits(fake::kVocab);
  fake::logits_after(r.prompt, logits, true);
  const auto likeliest = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  Tokens history = r.prompt;
  history.push_back(likeliest);
  fake::logits_after(history, logits, true);
  Tokens best(fake::kVocab);
  std::iota(best.begin(), best.end(), 0);
  std::partial_sort(best.begin(), best.begin() + 8, best.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  double sum = 0;
  std::map<std::int32_t, double> weight;
  for (std::size_t i = 0; i < 8; ++i) {
    sum += weight[best[i]] = std::exp(logits[static_cast<std::size_t>(best[i])] / 1.5);
  }
  r.max_tokens = 3;
  r.ignore_end_tokens = true;
  std::map<std::int32_t, int> seen;
  int drawn = 0;
  while (drawn < 3000) {
    std::vector<std::shared_ptr<Sink>> sinks;
    for (int i = 0; i < 4; ++i) sinks.push_back(run(r));
    for (const auto& sink : sinks) {
      const Tokens tokens = sink->wait().tokens();
      if (tokens[0] != likeliest) continue;
      ++seen[tokens[1]];
      ++drawn;
    }
  }
  double chi_square = 0;
  for (const auto& [id, w] : weight) {
    const double wanted = drawn * w / sum;
    chi_square += (seen[id] - wanted) * (seen[id] - wanted) / wanted;
  }
  EXPECT_EQ(seen.size(), 8U);
  EXPECT_LT(chi_square, 29.9) << "one in ten thousand with seven degrees of freedom";
  EXPECT_GT(status().accepted_tokens, 0);
}

}  // namespace
}  // namespace glia::engine
