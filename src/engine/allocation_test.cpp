// The engine's own part of a step allocates nothing: what the token loop needs was allocated when a sequence came.
#include <gtest/gtest.h>

#include "base/counted_allocations.h"
#include "engine/fake_model.h"

namespace glia::engine {
namespace {

class CountingSink final : public GenerationSink {
 public:
  void text(std::string_view, std::span<const std::int32_t> tokens) override { count += tokens.size(); }
  void done(const GenerateResult&) override { over = true; }
  void failed(const Error&) override { over = true; }
  std::atomic<std::size_t> count{0};
  std::atomic<bool> over{false};
};

// Between two forwards the step thread samples, settles, tidies, guesses, plans and builds the next batch.
TEST(Allocation, a_step_of_the_token_loop_allocates_nothing) {
  const SystemClock clock;
  auto loader = std::make_unique<fake::Loader>();
  const auto control = loader->control;
  control->echo = true;
  control->step_time = std::chrono::microseconds(100);
  std::int64_t after_forward = 0, steps = 0, worst = 0;  // the step thread's own, read when all is over
  control->on_forward = [&](bool begins) {
    if (!begins) {
      after_forward = counted::of_this_thread;
    } else if (++steps > 20 && steps < 60) {  // all four are in, none is over
      worst = std::max(worst, counted::of_this_thread - after_forward);
    }
  };
  auto engine = make_engine({.page_tokens = 512}, clock, std::move(loader));
  const auto model = engine->acquire("/fake.gguf");
  std::vector<std::shared_ptr<CountingSink>> sinks;
  for (std::uint64_t i = 0; i < 4; ++i) {
    GenerateRequest r;
    r.prompt = {3, 4, 5, 6, 7, 3, 4, 5, static_cast<std::int32_t>(10 + i)};
    r.max_tokens = 400;
    r.ignore_end_tokens = true;
    r.stop = {"a stop string that does not come"};
    r.sampling = {.temperature = i % 2 == 0 ? 0.0F : 0.8F, .top_p = 0.9F, .repetition_penalty = 1.1F, .seed = i};
    sinks.push_back(std::make_shared<CountingSink>());
    model->generate(std::move(r), sinks.back());
  }
  for (const auto& sink : sinks) {
    while (!sink->over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(sink->count, 400U);
  }
  EXPECT_GT(engine->status().at(0).accepted_tokens, 0);
  EXPECT_GT(steps, 60);
  EXPECT_EQ(worst, 0);
}

}  // namespace
}  // namespace glia::engine
