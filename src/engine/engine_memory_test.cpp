// Sequences that are set back where memory runs out, in the whole engine.
#include <gtest/gtest.h>

#include "engine/engine_fixture.h"

namespace glia::engine {
namespace {

using fake::EngineTest;
using fake::Expected;
using fake::expected;
using fake::request;
using fake::Sink;

// Memory for far less than all could need: many run all the same, some are set back, and nobody can tell.
TEST_F(EngineTest, what_is_set_back_for_want_of_memory_goes_on_unnoticed) {
  for (const bool cache : {true, false}) {
    for (const bool echo : {true, false}) {
      control_->echo = echo;
      control_->step_time = std::chrono::microseconds(100);
      start({.kv_bytes = 16 * 8 * 40, .page_tokens = 8, .max_running = 16, .prefix_cache = cache});
      ASSERT_EQ(model_->context(), 320);
      std::vector<GenerateRequest> requests;
      std::vector<std::shared_ptr<Sink>> sinks;
      for (std::uint64_t i = 0; i < 20; ++i) {
        auto r = request(5 + (i * 7) % 30, 40 + static_cast<std::int32_t>(i * 13 % 200), i);
        r.ignore_end_tokens = true;
        if (i % 4 == 0) r.prefix_cache = PrefixCache::off;
        requests.push_back(r);
      }
      for (const auto& r : requests) sinks.push_back(run(r));
      std::int64_t prompt = 0, cached = 0;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        sinks[i]->wait();
        const Expected e = expected(requests[i], echo);
        EXPECT_EQ(sinks[i]->tokens(), e.tokens);
        EXPECT_EQ(sinks[i]->text(), e.text);
        EXPECT_TRUE(sinks[i]->in_contract());
        prompt += sinks[i]->result()->usage.prompt_tokens;
        cached += sinks[i]->result()->usage.cached_tokens;
      }
      const ModelStatus s = status();
      EXPECT_GT(s.set_back, 0);
      EXPECT_GT(s.recomputed_tokens, 0);
      EXPECT_EQ(s.prompt_tokens + s.cached_tokens, prompt) << "what is computed again is not counted again";
      EXPECT_EQ(s.cached_tokens, cached);
      EXPECT_EQ(s.kv_pages_used, 0);
      stop();
    }
  }
}

TEST_F(EngineTest, one_that_was_set_back_may_be_cancelled) {
  control_->step_time = std::chrono::microseconds(100);
  start({.kv_bytes = 16 * 8 * 12, .page_tokens = 8, .max_running = 4});
  auto r = request(8, 80, 1);
  r.ignore_end_tokens = true;
  std::shared_ptr<Generation> handle;
  const auto first = run(r);
  auto other = request(8, 80, 2);
  other.ignore_end_tokens = true;
  const auto second = run(other, &handle);
  while (status().set_back == 0 && !first->ended()) std::this_thread::sleep_for(std::chrono::microseconds(100));
  handle->cancel();
  expect_answer(*first, r);
  EXPECT_TRUE(second->wait().result());
  EXPECT_GT(status().set_back, 0);
  EXPECT_EQ(status().kv_pages_used, 0);
}

}  // namespace
}  // namespace glia::engine
