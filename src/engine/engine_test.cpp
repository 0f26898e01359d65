// The engine over a model whose answers are known: every test compares with what a plain loop over the model gives.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <tuple>

#include "engine/engine_fixture.h"

namespace glia::engine {
namespace {

using fake::EngineTest;
using fake::Expected;
using fake::expected;
using fake::request;
using fake::Sink;
using fake::Tokens;

TEST_F(EngineTest, answers_as_the_plain_loop) {
  start();
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const auto r = request(1 + seed * 3, 1 + static_cast<std::int32_t>(seed) * 5, seed);
    expect_answer(*run(r), r);
  }
}

TEST_F(EngineTest, greedy_and_unseeded) {
  start();
  auto r = request(5, 50, 1);
  r.sampling = {.temperature = 0.0F};
  expect_answer(*run(r), r);
  r.sampling = {.temperature = 1.0F};
  EXPECT_NE(run(r)->wait().tokens(), run(r)->wait().tokens());
}

// The same requests: each alone, all together, in another order, in other batches and pages.
TEST_F(EngineTest, tokens_depend_on_the_request_alone) {
  std::vector<GenerateRequest> requests;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    requests.push_back(request(1 + (seed * 37) % 150, 1 + static_cast<std::int32_t>((seed * 53) % 120), seed));
    requests.back().ignore_end_tokens = seed % 2 == 0;
  }
  for (const std::int32_t rows : {1, 7, 64, 512}) {
    for (const std::int32_t page_tokens : {1, 5, 32}) {
      start({.page_tokens = page_tokens, .max_batch_rows = rows, .max_running = 16});
      std::vector<std::size_t> order(requests.size());
      for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(rows * page_tokens)));
      std::vector<std::shared_ptr<Sink>> sinks(requests.size());
      for (const std::size_t i : order) sinks[i] = run(requests[i]);
      for (std::size_t i = 0; i < requests.size(); ++i) expect_answer(*sinks[i], requests[i]);
      EXPECT_EQ(status().kv_pages_used, 0);
      EXPECT_LE(control_->most_rows, rows);
      control_->most_rows = 0;
      stop();
    }
  }
}

// Four conversations of ten turns at once, each turn's prompt the whole conversation so far.
TEST_F(EngineTest, a_conversation_is_not_computed_again_and_says_the_same) {
  constexpr std::int32_t kPage = 8;
  for (const bool cache : {true, false}) {
    start({.page_tokens = kPage, .max_batch_rows = 64, .max_running = 8, .prefix_cache = cache});
    std::vector<Tokens> talks;
    for (std::uint64_t user = 0; user < 4; ++user) talks.push_back(request(40, 1, user / 2).prompt);  // two begin alike
    for (std::uint64_t turn = 0; turn < 10; ++turn) {
      std::vector<GenerateRequest> asked;
      std::vector<std::shared_ptr<Sink>> sinks;
      for (std::uint64_t user = 0; user < 4; ++user) {
        auto r = request(1, 12, 100 * user + turn);
        const auto question = request(7, 1, 1000 * user + turn).prompt;
        talks[user].insert(talks[user].end(), question.begin(), question.end());
        r.prompt = talks[user];
        r.account = user < 2 ? "both" : "b" + std::to_string(user);
        r.ignore_end_tokens = true;
        asked.push_back(r);
        sinks.push_back(run(r));
      }
      for (std::uint64_t user = 0; user < 4; ++user) {
        expect_answer(*sinks[user], asked[user]);
        const auto before = static_cast<std::int32_t>(talks[user].size()) - 7;
        const auto cached = sinks[user]->result()->usage.cached_tokens;
        if (!cache || (turn == 0 && user != 1)) {  // the second may begin after the first, and finds its beginning
          EXPECT_EQ(cached, 0);
        } else if (turn > 0) {
          EXPECT_GE(cached, (before - 1) / kPage * kPage) << "the last token of an answer is never written";
        }
        const auto answer = sinks[user]->tokens();
        talks[user].insert(talks[user].end(), answer.begin(), answer.end());
      }
    }
    EXPECT_EQ(status().kv_pages_used, 0);
    EXPECT_EQ(status().kv_pages_cached > 0, cache);
    EXPECT_EQ(status().cached_tokens > 0, cache);
    stop();
  }
}

TEST_F(EngineTest, a_request_may_stay_out_of_the_prefix_cache) {
  start({.page_tokens = 4});
  auto r = request(40, 5, 1);
  r.prefix_cache = PrefixCache::off;
  expect_answer(*run(r), r);
  EXPECT_EQ(status().kv_pages_cached, 0);
  r.prefix_cache = PrefixCache::on;
  run(r)->wait();
  r.prefix_cache = PrefixCache::off;
  const auto sink = run(r);
  expect_answer(*sink, r);
  EXPECT_EQ(sink->result()->usage.cached_tokens, 0);
}

TEST_F(EngineTest, accounts_do_not_see_each_others_prefixes) {
  start({.page_tokens = 4});
  auto r = request(40, 5, 1);
  run(r)->wait();
  r.account = "another";
  EXPECT_EQ(run(r)->wait().result()->usage.cached_tokens, 0);
  EXPECT_EQ(run(r)->wait().result()->usage.cached_tokens, 36);
}

TEST_F(EngineTest, stop_strings_end_the_answer_before_them) {
  start();
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    auto r = request(4, 60, seed);
    r.ignore_end_tokens = true;
    const Expected whole = expected(r);
    const std::size_t at = 1 + seed;
    r.stop = {"not to be found", whole.text.substr(at, 1 + seed % 5)};
    const std::size_t found = whole.text.find(r.stop[1]);
    const auto held = run(r);
    Sink& sink = held->wait();
    EXPECT_EQ(sink.text(), whole.text.substr(0, found));
    EXPECT_EQ(sink.result()->reason, FinishReason::stop);
    EXPECT_EQ(static_cast<std::int32_t>(sink.tokens().size()), sink.result()->usage.completion_tokens);
    EXPECT_LE(sink.tokens().size(), found + r.stop[1].size() + 1);  // the decoder holds one token back
  }
}

TEST_F(EngineTest, the_tail_that_is_no_stop_string_comes_out) {
  start();
  auto r = request(4, 20, 3);
  r.ignore_end_tokens = true;
  const Expected whole = expected(r);
  r.stop = {whole.text.substr(17) + "never"};
  const auto held = run(r);
  Sink& sink = held->wait();
  EXPECT_EQ(sink.text(), whole.text);
  EXPECT_EQ(sink.result()->reason, FinishReason::length);
}

TEST_F(EngineTest, refuses_what_cannot_run) {
  start();
  ASSERT_EQ(model_->context(), 512);
  auto r = request(500, 13, 1);
  expect_error(r, ErrorCode::context_too_long,
               "500 prompt tokens and up to 13 answer tokens exceed the context of 512 tokens");
  r.max_tokens = 12;
  r.ignore_end_tokens = true;
  expect_answer(*run(r), r);  // exactly full
  r.max_tokens = 0;
  expect_error(r, ErrorCode::invalid_input, "max_tokens must be at least 1");
  r = request(3, 2147483647, 1);
  expect_error(r, ErrorCode::context_too_long,
               "3 prompt tokens and up to 2147483647 answer tokens exceed the context of 512 tokens");
  r = request(0, 5, 1);
  expect_error(r, ErrorCode::invalid_input, "the prompt is empty");
  for (const std::int32_t id : {-1, fake::kVocab}) {
    r = request(3, 5, 1);
    r.prompt[1] = id;
    expect_error(r, ErrorCode::invalid_input, "the prompt holds a token that the model does not know");
  }
  r = request(3, 5, 1);
  r.stop = {""};
  expect_error(r, ErrorCode::invalid_input, "a stop string is empty");
  r.stop = {"\xC3"};
  expect_error(r, ErrorCode::invalid_input, "a stop string is not valid UTF-8");
  r.stop = {std::string(1025, 'x')};
  expect_error(r, ErrorCode::invalid_input, "a stop string is longer than 1024 bytes");
  r.stop = std::vector<std::string>(65, "x");
  expect_error(r, ErrorCode::invalid_input, "more than 64 stop strings");
  r.stop.clear();
  r.sampling.top_p = 2;
  expect_error(r, ErrorCode::invalid_input, "top_p must be between 0 and 1");
}

TEST_F(EngineTest, kv_memory_limits_the_context) {
  start({.kv_bytes = 16 * 8 * 10, .page_tokens = 8});
  EXPECT_EQ(status().kv_pages, 10);
  EXPECT_EQ(model_->context(), 80);
  auto r = request(40, 40, 1);
  expect_answer(*run(r), r);
}

TEST_F(EngineTest, a_full_queue_turns_away_and_says_when_to_come_back) {
  control_->steps_allowed = 0;
  start({.max_running = 2, .max_queued = 3});
  std::vector<std::shared_ptr<Sink>> sinks;
  for (std::uint64_t i = 0; i < 5; ++i) sinks.push_back(run(request(3, 4, i)));
  control_->wait_for_steps(1);
  try {
    run(request(3, 4, 9));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_capacity);
    EXPECT_GE(error.retry_after_s, 1);
    EXPECT_LE(error.retry_after_s, 60);
  }
  EXPECT_EQ(status().figures.refused, 1U);
  control_->allow(-1);
  for (std::uint64_t i = 0; i < 5; ++i) expect_answer(*sinks[i], request(3, 4, i));
  expect_answer(*run(request(3, 4, 9)), request(3, 4, 9));
}

TEST_F(EngineTest, cancels_while_running_and_while_queued) {
  control_->steps_allowed = 3;
  start({.max_running = 1});
  auto long_one = request(3, 400, 1);
  long_one.ignore_end_tokens = true;
  std::shared_ptr<Generation> running, queued;
  const auto a = run(long_one, &running);
  control_->wait_for_steps(4);  // three tokens came out, the fourth step stands still
  const auto b = run(long_one, &queued);
  const auto c = run(request(2, 3, 5));
  queued->cancel();
  running->cancel();
  control_->allow(1);
  b->wait();
  EXPECT_EQ(a->wait().result()->reason, FinishReason::cancelled);
  EXPECT_EQ(a->result()->usage.prompt_tokens, 3);
  EXPECT_EQ(a->result()->usage.completion_tokens, 3);
  EXPECT_EQ(b->result()->reason, FinishReason::cancelled);
  EXPECT_EQ(b->result()->usage.prompt_tokens, 0);
  EXPECT_EQ(b->result()->usage.completion_tokens, 0);
  control_->allow(-1);
  expect_answer(*c, request(2, 3, 5));
  running->cancel();  // long over
  EXPECT_EQ(status().figures.cancelled, 2U);
}

TEST_F(EngineTest, a_sink_may_cancel_from_inside) {
  start();
  auto sink = std::make_shared<Sink>();
  std::mutex mutex;
  std::shared_ptr<Generation> handle;
  sink->on_text = [&](Sink&) {
    const std::lock_guard lock(mutex);
    if (handle) handle->cancel();
  };
  {
    const std::lock_guard lock(mutex);
    auto r = request(3, 500, 1);
    r.ignore_end_tokens = true;
    handle = model_->generate(r, sink);
  }
  EXPECT_EQ(sink->wait().result()->reason, FinishReason::cancelled);
  EXPECT_LE(sink->tokens().size(), 4U);
}

TEST_F(EngineTest, what_one_sink_throws_ends_that_generation_alone) {
  start();
  std::vector<std::shared_ptr<Sink>> sinks;
  for (std::uint64_t i = 0; i < 9; ++i) {
    auto sink = std::make_shared<Sink>();
    if (i % 3 == 0) {
      sink->on_text = [i](Sink&) {
        if (i == 3) throw 7;
        throw std::runtime_error("secret");
      };
    }
    auto r = request(3, 60, i);
    r.ignore_end_tokens = true;
    model_->generate(r, sink);
    sinks.push_back(sink);
  }
  for (std::uint64_t i = 0; i < 9; ++i) {
    auto r = request(3, 60, i);
    r.ignore_end_tokens = true;
    if (i % 3 != 0) {
      expect_answer(*sinks[i], r);
    } else {
      ASSERT_TRUE(sinks[i]->wait().error());
      EXPECT_EQ(sinks[i]->error()->code(), ErrorCode::internal);
      EXPECT_EQ(sinks[i]->error()->detail(), "");
    }
  }
  EXPECT_EQ(status().kv_pages_used, 0);
  EXPECT_EQ(status().figures.failed, 3U);
}

TEST_F(EngineTest, a_row_without_logits_ends_that_generation_alone) {
  start();
  auto bad = request(3, 60, 1);
  bad.prompt.back() = fake::kNoLogits;
  const auto a = run(request(3, 60, 2));
  const auto b = run(bad);
  expect_answer(*a, request(3, 60, 2));
  ASSERT_TRUE(b->wait().error());
  EXPECT_EQ(b->error()->code(), ErrorCode::internal);
}

TEST_F(EngineTest, a_broken_step_ends_its_batch_and_the_engine_goes_on) {
  control_->throws = true;
  start();
  const auto a = run(request(3, 60, 2));
  ASSERT_TRUE(a->wait().error());
  EXPECT_EQ(a->error()->detail(), "the device broke");
  expect_answer(*run(request(3, 60, 3)), request(3, 60, 3));
  EXPECT_EQ(status().kv_pages_used, 0);
}

TEST_F(EngineTest, going_away_fails_what_runs_and_waits) {
  control_->step_time = std::chrono::microseconds(200);
  start({.max_running = 2});
  std::vector<std::shared_ptr<Sink>> sinks;
  auto r = request(3, 500, 1);
  r.ignore_end_tokens = true;
  for (int i = 0; i < 6; ++i) sinks.push_back(run(r));
  control_->wait_for_steps(5);
  engine_.reset();
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->ended());
    ASSERT_TRUE(sink->error());
    EXPECT_EQ(sink->error()->code(), ErrorCode::aborted);
    EXPECT_TRUE(sink->in_contract());
  }
  expect_error(r, ErrorCode::aborted, "the server is stopping");
  EXPECT_EQ(model_->name(), "fake");
}

std::size_t threads_now() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++n;
  return n;
}

// 32 generations, a third of them cancelled at random steps, again and again.
TEST_F(EngineTest, pages_and_threads_all_come_back) {
  std::thread([] {}).join();  // a sanitizer starts its own thread with the first
  const std::size_t threads = threads_now();
  start({.kv_bytes = 16 * 8 * 150, .page_tokens = 8, .max_batch_rows = 48, .max_running = 12});
  std::mt19937_64 random(5);
  for (int round = 0; round < 12; ++round) {
    std::vector<std::shared_ptr<Sink>> sinks(32);
    std::vector<std::shared_ptr<Generation>> handles(32);
    std::vector<GenerateRequest> requests;
    for (std::size_t i = 0; i < 32; ++i) {
      requests.push_back(request(1 + random() % 100, 1 + static_cast<std::int32_t>(random() % 100), random()));
      sinks[i] = std::make_shared<Sink>();
      if (i % 3 == 0) {
        // Cancels itself from another generation's callback, at a random number of tokens.
        sinks[i]->on_text = [&handles, i, at = random() % 40](Sink& s) {
          if (s.tokens().size() >= at && handles[i]) handles[i]->cancel();
        };
      }
    }
    control_->allow(0);  // nothing moves until all handles are written
    for (std::size_t i = 0; i < 32; ++i) handles[i] = model_->generate(requests[i], sinks[i]);
    for (std::size_t i = 0; i < 32; i += 6) {
      if (random() % 2 == 0) handles[i]->cancel();
    }
    control_->allow(-1);
    for (std::size_t i = 0; i < 32; ++i) {
      sinks[i]->wait();
      ASSERT_TRUE(sinks[i]->in_contract());
      ASSERT_TRUE(sinks[i]->result());
      if (sinks[i]->result()->reason != FinishReason::cancelled) {
        expect_answer(*sinks[i], requests[i]);
      } else {
        const Tokens all = expected(requests[i]).tokens, got = sinks[i]->tokens();
        ASSERT_LE(got.size(), all.size());
        EXPECT_TRUE(std::equal(got.begin(), got.end(), all.begin()));
      }
    }
    EXPECT_EQ(status().kv_pages_used, 0);
    EXPECT_EQ(status().running + status().queued, 0);
  }
  EXPECT_GT(status().figures.cancelled, 30U);
  stop();
  EXPECT_EQ(threads_now(), threads);
}

TEST_F(EngineTest, many_callers_at_once) {
  start({.max_running = 8});
  std::vector<std::thread> callers;
  for (std::uint64_t t = 0; t < 6; ++t) {
    callers.emplace_back([this, t] {
      for (std::uint64_t i = 0; i < 20; ++i) {
        const auto r = request(1 + i, 20, t * 100 + i);
        std::shared_ptr<Generation> handle;
        const auto sink = run(r, &handle);
        if (i % 4 == 1) {
          handle->cancel();
          EXPECT_TRUE(sink->wait().result());
        } else {
          expect_answer(*sink, r);
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) engine_->status();
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(status().kv_pages_used, 0);
}

TEST_F(EngineTest, figures_count_what_happened) {
  start();
  auto r = request(10, 5, 1);
  r.ignore_end_tokens = true;
  run(r)->wait();
  run(r)->wait();
  const ModelStatus s = status();
  EXPECT_EQ(s.name, "fake");
  EXPECT_EQ(s.prompt_tokens, 20);
  EXPECT_EQ(s.generated_tokens, 10);
  EXPECT_EQ(s.steps, 10);
  EXPECT_EQ(s.figures.out_of_tokens, 2U);
  EXPECT_EQ(s.figures.first_token_ms.count, 2U);
  EXPECT_EQ(s.figures.tokens_per_s.count, 2U);
  EXPECT_EQ(s.figures.batch_rows.count, 10U);
  EXPECT_EQ(s.figures.batch_rows.sum, 28);
  EXPECT_EQ(s.figures.batch_rows.counts.size(), s.figures.batch_rows.bounds.size() + 1);
  EXPECT_EQ(s.running, 0);
  EXPECT_EQ(s.queued, 0);
}

TEST(EngineOptions, are_checked) {
  const SystemClock clock;
  for (const EngineOptions& bad :
       {EngineOptions{.threads = -1}, EngineOptions{.page_tokens = 0}, EngineOptions{.max_batch_rows = 0},
        EngineOptions{.max_running = 0}, EngineOptions{.max_queued = -1}}) {
    EXPECT_THROW(make_engine(bad, clock, std::make_unique<fake::Loader>()), Error);
  }
  auto engine = make_engine({.kv_bytes = 1}, clock, std::make_unique<fake::Loader>());
  EXPECT_THROW(engine->acquire("/fake.gguf"), Error);
}

TEST(FinishReason, has_names) {
  EXPECT_EQ(finish_reason_name(FinishReason::stop), "stop");
  EXPECT_EQ(finish_reason_name(FinishReason::length), "length");
  EXPECT_EQ(finish_reason_name(FinishReason::cancelled), "cancelled");
}

}  // namespace
}  // namespace glia::engine
