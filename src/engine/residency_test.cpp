#include "engine/residency.h"

#include <gtest/gtest.h>

#include "engine/fake_model.h"
#include "engine/memory_budget.h"
#include "engine/model_memory.h"

namespace glia::engine {
namespace {

using fake::Sink;

// 256-token contexts in pages of 32, 16 bytes a token: a model has 1024 bytes of KV pages here.
constexpr std::size_t kKv = 1024;

class ResidencyTest : public testing::Test {
 protected:
  void start(std::size_t budget, EngineOptions options = {.memory_wait_ms = 0}) {
    options.memory_budget = budget;
    options.kv_bytes = kKv;
    auto loader = std::make_unique<fake::Loader>();
    loader_ = loader.get();
    for (const char* name : {"/a.gguf", "/b.gguf", "/c.gguf"}) loader->files[name] = {};
    engine_ = make_engine(options, clock_, std::move(loader));
  }
  void change(const std::string& path, const std::function<void(fake::Loader::File&)>& how) {
    const std::lock_guard lock(loader_->mutex);
    how(loader_->files[path]);
  }
  Error error_of(const char* path) {
    try {
      engine_->acquire(path);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "acquired " << path;
    return Error(ErrorCode::internal);
  }
  std::vector<std::string> loaded() const {
    std::vector<std::string> names;
    for (const auto& status : engine_->status()) names.push_back(status.name);
    std::sort(names.begin(), names.end());
    return names;
  }
  /// As the keeper does a few times a second.
  void tend() { static_cast<Residency&>(*engine_).tend(); }
  ModelStatus figures_of(const std::string& name) const {
    for (const ModelStatus& m : engine_->figures().models) {
      if (m.name == name) return m;
    }
    return {};
  }
  std::shared_ptr<Sink> generate(ChatModel& model) {
    auto sink = std::make_shared<Sink>();
    model.generate(endless(), sink);
    return sink;
  }
  GenerateRequest endless() const {
    GenerateRequest r;
    r.prompt = {1, 2, 3};
    r.max_tokens = 50;
    r.ignore_end_tokens = true;
    return r;
  }
  using Names = std::vector<std::string>;

  ManualClock clock_;
  fake::Loader* loader_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

TEST_F(ResidencyTest, loads_once_and_shares) {
  start(1 << 20);
  loader_->load_time = std::chrono::milliseconds(20);
  std::vector<std::thread> callers;
  std::vector<std::shared_ptr<ChatModel>> models(8);
  for (std::size_t i = 0; i < models.size(); ++i) {
    callers.emplace_back([&, i] { models[i] = engine_->acquire(i % 2 == 0 ? "/a.gguf" : "/./x/../a.gguf"); });
  }
  for (auto& caller : callers) caller.join();
  for (const auto& model : models) EXPECT_EQ(model, models[0]);
  EXPECT_EQ(loader_->loads["/a.gguf"], 1);
  EXPECT_EQ(models[0]->bytes(), 1000 + kKv);
}

TEST_F(ResidencyTest, drops_the_least_recently_used_idle_model) {
  start(2 * (1000 + kKv));
  engine_->acquire("/a.gguf");
  engine_->acquire("/b.gguf");
  engine_->acquire("/a.gguf");
  engine_->acquire("/c.gguf");
  EXPECT_EQ(loaded(), (Names{"a", "c"}));
  engine_->acquire("/b.gguf");
  EXPECT_EQ(loaded(), (Names{"b", "c"}));
}

TEST_F(ResidencyTest, never_drops_what_is_held_or_runs) {
  start(2 * (1000 + kKv));
  const auto held = engine_->acquire("/a.gguf");
  auto running = engine_->acquire("/b.gguf");
  loader_->control->steps_allowed = 0;
  const auto sink = std::make_shared<Sink>();
  running->generate(endless(), sink);
  running.reset();
  const Error error = error_of("/c.gguf");
  EXPECT_EQ(error.code(), ErrorCode::out_of_capacity);
  EXPECT_GT(error.retry_after_s, 0);
  EXPECT_EQ(loaded(), (Names{"a", "b"}));
  loader_->control->allow(-1);
  EXPECT_TRUE(sink->wait().result());
  engine_->acquire("/c.gguf");  // at once: the engine let go of b before it told the sink
  EXPECT_EQ(loaded(), (Names{"a", "c"}));
}

TEST_F(ResidencyTest, refuses_what_can_never_fit) {
  start(1500);
  EXPECT_EQ(error_of("/a.gguf").detail(), "the model needs about 1 MiB of memory, the budget is 1 MiB");
  EXPECT_EQ(loader_->loads["/a.gguf"], 0);
  EXPECT_TRUE(loaded().empty());
}

TEST_F(ResidencyTest, a_model_larger_than_its_estimate_must_still_fit) {
  start(2 * (1000 + kKv));
  engine_->acquire("/a.gguf");
  change("/b.gguf", [](auto& file) { file.loaded_bytes = 3000; });
  engine_->acquire("/b.gguf");
  EXPECT_EQ(loaded(), (Names{"b"}));
  change("/c.gguf", [](auto& file) { file.loaded_bytes = 4000; });
  EXPECT_EQ(error_of("/c.gguf").code(), ErrorCode::out_of_capacity);
  change("/c.gguf", [](auto& file) { file.loaded_bytes = 0; });
  engine_->acquire("/c.gguf");  // no back-off, and nothing of the refused one is still charged
  EXPECT_EQ(loaded(), (Names{"c"}));
}

TEST_F(ResidencyTest, backs_off_after_a_failed_load) {
  start(1 << 20);
  change("/a.gguf", [](auto& file) { file.broken = true; });
  EXPECT_EQ(error_of("/a.gguf").retry_after_s, 1);
  int loads = 1;
  for (const int wait_s : {1, 2, 4, 8, 16, 32, 60, 60}) {
    const Error error = error_of("/a.gguf");
    EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
    EXPECT_EQ(error.detail(), "broken file");
    EXPECT_EQ(error.retry_after_s, wait_s);
    EXPECT_EQ(loader_->loads["/a.gguf"], loads);
    clock_.advance_ms(wait_s * 1000);
    error_of("/a.gguf");
    EXPECT_EQ(loader_->loads["/a.gguf"], ++loads);
  }
  change("/a.gguf", [](auto& file) {
    file.broken = false;
    ++file.version;
  });
  engine_->acquire("/a.gguf");  // another file: no waiting
  EXPECT_EQ(loaded(), (Names{"a"}));
}

TEST_F(ResidencyTest, loads_a_replaced_file_again) {
  start(3 * (1000 + kKv));
  auto old = engine_->acquire("/a.gguf");
  change("/a.gguf", [](auto& file) { ++file.version; });
  auto fresh = engine_->acquire("/a.gguf");
  EXPECT_NE(old, fresh);
  EXPECT_EQ(loader_->loads["/a.gguf"], 2);
  const auto sink = std::make_shared<Sink>();
  old->generate(endless(), sink);  // still usable while held
  EXPECT_TRUE(sink->wait().result());
  // Both are charged as long as both are held.
  const auto b = engine_->acquire("/b.gguf");
  EXPECT_EQ(error_of("/c.gguf").code(), ErrorCode::out_of_capacity);
  old.reset();
  engine_->acquire("/c.gguf");
}

TEST_F(ResidencyTest, a_file_that_went_away_is_unavailable) {
  start(1 << 20);
  EXPECT_EQ(error_of("/nowhere.gguf").code(), ErrorCode::model_unavailable);
  engine_->acquire("/a.gguf");
  {
    const std::lock_guard lock(loader_->mutex);
    loader_->files.erase("/a.gguf");
  }
  EXPECT_EQ(error_of("/a.gguf").code(), ErrorCode::model_unavailable);
  EXPECT_TRUE(loaded().empty());
}

TEST_F(ResidencyTest, models_take_turns_on_one_thread) {
  start(1 << 20);
  const auto a = engine_->acquire("/a.gguf"), b = engine_->acquire("/b.gguf");
  std::vector<std::shared_ptr<Sink>> sinks;
  for (int i = 0; i < 6; ++i) {
    sinks.push_back(std::make_shared<Sink>());
    (i % 2 == 0 ? a : b)->generate(endless(), sinks.back());
  }
  for (const auto& sink : sinks) {
    ASSERT_TRUE(sink->wait().result());
    EXPECT_EQ(sink->tokens().size(), 50U);
  }
}

TEST_F(ResidencyTest, an_idle_model_goes_after_its_keep_alive) {
  start(1 << 20, {.memory_wait_ms = 0, .keep_alive_ms = 60'000});
  engine_->acquire("/a.gguf");
  engine_->acquire("/b.gguf", {.keep_alive_ms = kForever});
  engine_->acquire("/c.gguf", {.keep_alive_ms = 90'000});
  clock_.advance_ms(59'999);
  tend();
  EXPECT_EQ(loaded(), (Names{"a", "b", "c"}));
  EXPECT_EQ(engine_->status().at(0).idle_ms, 59'999);
  clock_.advance_ms(1);
  tend();
  EXPECT_EQ(loaded(), (Names{"b", "c"}));
  EXPECT_NE(engine_->find("/c.gguf"), nullptr);  // a use: the time begins anew
  clock_.advance_ms(89'999);
  tend();
  EXPECT_EQ(loaded(), (Names{"b", "c"}));
  clock_.advance_ms(1'000'000'000);
  tend();
  EXPECT_EQ(loaded(), (Names{"b"}));
  EXPECT_EQ(figures_of("c").loads.expired, 1U);
  EXPECT_EQ(engine_->find("/c.gguf"), nullptr);
  engine_->acquire("/c.gguf");  // of the earlier keep-alive nothing is left
  clock_.advance_ms(60'000);
  tend();
  EXPECT_EQ(loaded(), (Names{"b"}));
}

TEST_F(ResidencyTest, what_is_held_or_runs_outlives_every_keep_alive) {
  start(1 << 20, {.memory_wait_ms = 0, .keep_alive_ms = 0});
  const auto held = engine_->acquire("/a.gguf");
  loader_->control->steps_allowed = 0;
  const auto sink = generate(*engine_->acquire("/b.gguf", {.keep_alive_ms = 1000}));
  clock_.advance_ms(5000);
  tend();
  EXPECT_EQ(loaded(), (Names{"a", "b"}));
  EXPECT_FALSE(engine_->status().at(1).idle_ms);
  loader_->control->allow(-1);
  sink->wait();
  tend();
  EXPECT_EQ(loaded(), (Names{"a", "b"}));  // b's time begins with the end of what ran
  clock_.advance_ms(1000);
  tend();
  EXPECT_EQ(loaded(), (Names{"a"}));
}

// The keeper looks by itself; with 0 a model goes as soon as nobody has it.
TEST_F(ResidencyTest, the_keeper_drops_without_being_asked) {
  start(1 << 20, {.memory_wait_ms = 0, .keep_alive_ms = 0});
  generate(*engine_->acquire("/a.gguf"))->wait();
  for (int i = 0; i < 500 && !loaded().empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(loaded().empty());
  EXPECT_EQ(engine_->figures().memory_used, 0U);
}

TEST_F(ResidencyTest, stops_what_is_idle_at_once_and_what_is_busy_when_it_ended) {
  start(1 << 20);
  EXPECT_EQ(engine_->stop("/a.gguf"), Stopped::not_loaded);
  engine_->acquire("/a.gguf");
  EXPECT_EQ(engine_->stop("/./a.gguf"), Stopped::now);
  EXPECT_TRUE(loaded().empty());

  loader_->control->steps_allowed = 0;
  const auto sink = generate(*engine_->acquire("/a.gguf"));
  EXPECT_EQ(engine_->stop("/a.gguf"), Stopped::when_idle);
  EXPECT_TRUE(engine_->status().at(0).stopping);
  tend();
  EXPECT_EQ(loaded(), (Names{"a"}));
  loader_->control->allow(-1);
  EXPECT_TRUE(sink->wait().result());
  tend();
  EXPECT_TRUE(loaded().empty());
  EXPECT_EQ(figures_of("a").loads.stopped, 2U);

  // Asked for again while it finishes, it stays.
  loader_->control->steps_allowed = 0;
  const auto first = generate(*engine_->acquire("/a.gguf"));
  EXPECT_EQ(engine_->stop("/a.gguf"), Stopped::when_idle);
  const auto second = generate(*engine_->acquire("/a.gguf"));
  loader_->control->allow(-1);
  first->wait();
  second->wait();
  tend();
  EXPECT_EQ(loaded(), (Names{"a"}));
  EXPECT_EQ(loader_->loads["/a.gguf"], 3);
}

TEST_F(ResidencyTest, waits_for_the_memory_of_busy_models_and_not_for_ever) {
  start(1000 + kKv, {.memory_wait_ms = 2000});
  loader_->control->steps_allowed = 0;
  const auto sink = generate(*engine_->acquire("/a.gguf"));
  std::shared_ptr<ChatModel> b;
  std::thread waiting([&] { b = engine_->acquire("/b.gguf"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(loaded(), (Names{"a", "b"}));  // b on its way
  loader_->control->allow(-1);
  sink->wait();
  waiting.join();
  EXPECT_EQ(loaded(), (Names{"b"}));

  std::optional<Error> error;
  std::thread refused([&] { error = error_of("/a.gguf"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(error);
  clock_.advance_ms(2000);
  refused.join();
  EXPECT_EQ(error->code(), ErrorCode::out_of_capacity);
  EXPECT_EQ(error->retry_after_s, 5);
  EXPECT_EQ(error->detail(),
            "the model needs about 1 MiB of memory, 0 MiB of 1 MiB are free and the other models are busy");
}

// Three models that need 1000 bytes each and at least a page of 512 for KV, in less than what two ask for.
TEST_F(ResidencyTest, kv_memory_is_what_the_budget_leaves) {
  start(2 * 1000 + kKv + 600);
  loader_->context = 32;
  const auto a = engine_->acquire("/a.gguf");
  const auto b = engine_->acquire("/b.gguf");
  EXPECT_EQ(a->bytes(), 1000 + kKv);
  EXPECT_EQ(b->bytes(), 1000U + 512);
  EXPECT_EQ(error_of("/c.gguf").code(), ErrorCode::out_of_capacity);
  EXPECT_LE(engine_->figures().memory_used, engine_->figures().memory_budget);
}

TEST_F(ResidencyTest, what_loading_needs_is_reserved_and_given_back) {
  start(2 * (1000 + kKv + 100));
  loader_->text_bytes = 100;
  loader_->loading_bytes = 2000;
  const auto a = engine_->acquire("/a.gguf");
  EXPECT_EQ(engine_->figures().memory_used, 1000 + kKv + 100);
  EXPECT_EQ(engine_->status().at(0).scratch_bytes, 100U);
  EXPECT_EQ(error_of("/b.gguf").code(), ErrorCode::out_of_capacity);  // 1000 + 100 + 2000, though it would fit then
  loader_->loading_bytes = 1000;
  change("/b.gguf", [](auto& file) { ++file.version; });  // an estimate is kept with its version of the file
  engine_->acquire("/b.gguf");
  EXPECT_EQ(engine_->figures().memory_used, 2 * (1000 + kKv + 100));
}

TEST_F(ResidencyTest, figures_go_on_counting_over_loads) {
  start(1000 + kKv);
  change("/c.gguf", [](auto& file) { file.broken = true; });
  error_of("/c.gguf");
  for (const char* path : {"/a.gguf", "/b.gguf", "/a.gguf"}) {
    const auto sink = generate(*engine_->acquire(path));
    EXPECT_TRUE(sink->wait().result());
  }
  const ModelStatus a = figures_of("a");
  EXPECT_TRUE(a.in_memory);
  EXPECT_EQ(a.generated_tokens, 100);
  EXPECT_EQ(a.figures.out_of_tokens, 2U);
  EXPECT_EQ(a.figures.first_token_ms.count, 2U);
  EXPECT_EQ(a.loads.loads, 2U);
  EXPECT_EQ(a.loads.load_ms.count, 2U);
  EXPECT_EQ(a.loads.evicted, 1U);
  const ModelStatus b = figures_of("b");
  EXPECT_FALSE(b.in_memory);
  EXPECT_EQ(b.generated_tokens, 50);
  EXPECT_EQ(b.bytes, 0U);
  EXPECT_EQ(figures_of("c").loads.failed, 1U);
  EXPECT_EQ(engine_->status().size(), 1U);
}

TEST(ModelMemory, counts_everything_and_survives_absurd_headers) {
  MemoryNeeds needs;
  needs.model = {.weight_bytes = 1000, .kv_bytes_per_token = 10, .context = 8192, .vocab = 50, .row_bytes = 3};
  needs.text_bytes = 7;
  needs.loading_bytes = 100'000;
  const EngineOptions options{.kv_bytes = 60'000, .page_tokens = 32, .max_batch_rows = 4, .max_running = 2};
  const ModelMemory m = plan_memory(needs, options);
  EXPECT_EQ(m.scratch, 4U * 3 + 25U * 50 * 2 * 4);
  EXPECT_EQ(m.kv_least, 4096U * 10);
  EXPECT_EQ(m.kv_most, 60'000U);
  EXPECT_EQ(m.least(), 1007U + 100'000);
  EXPECT_EQ(m.kv(m.without_kv() + 50'000), 50'000U);
  needs.model.kv_bytes_per_token = ~std::size_t{0};
  EXPECT_EQ(plan_memory(needs, options).kv_most, 60'000U);
  needs.model.weight_bytes = ~std::size_t{0};
  EXPECT_EQ(plan_memory(needs, options).least(), ~std::size_t{0});
}

TEST(MemoryBudget, is_exact) {
  const auto budget = MemoryBudget::create(100);
  {
    auto a = budget->reserve(60);
    ASSERT_TRUE(a);
    EXPECT_FALSE(budget->reserve(41));
    const auto b = budget->reserve(40);
    ASSERT_TRUE(b);
    EXPECT_FALSE(a->resize(61));
    EXPECT_TRUE(a->resize(10));
    EXPECT_EQ(budget->used(), 50U);
    EXPECT_TRUE(a->resize(60));
    EXPECT_FALSE(budget->reserve(~std::size_t{0}));
    EXPECT_TRUE(a->resize(10));
    a->grow(40);
    EXPECT_EQ(a->bytes(), 40U);
    a->grow(20);
    EXPECT_EQ(a->bytes(), 40U);
    a->grow(~std::size_t{0});
    EXPECT_EQ(budget->used(), 100U);
  }
  EXPECT_EQ(budget->used(), 0U);
  EXPECT_GT(machine_memory_bytes(), std::size_t{1} << 20);
}

TEST(ModelName, is_what_people_call_it) {
  const auto name = [](const char* path, std::optional<std::string_view> own = {}) { return model_name(path, own); };
  EXPECT_EQ(name("/m/SmolLM2-135M-Instruct.Q4_1.gguf", "Smollm2 135M 8k Lc100K Mix1 Ep2"), "SmolLM2-135M-Instruct");
  EXPECT_EQ(name("Llama-3.2-1B-Instruct-Q4_K_M.gguf"), "Llama-3.2-1B-Instruct");
  EXPECT_EQ(name("x/gemma-3-4b-it-UD-IQ2_XXS.gguf"), "gemma-3-4b-it");
  EXPECT_EQ(name("qwen2.5-0.5b-instruct-fp16.gguf"), "qwen2.5-0.5b-instruct");
  EXPECT_EQ(name("mine.gguf", "Own"), "mine");
  EXPECT_EQ(name("/m/tiny-llama/ggml-model-q4_0.gguf", "Own"), "Own");
  EXPECT_EQ(name("/m/tiny-llama/ggml-model-q4_0.gguf"), "tiny-llama");
  EXPECT_EQ(name("/m/SmolLM2-135M-Instruct"), "SmolLM2-135M-Instruct");
  EXPECT_EQ(name("/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/93efa2f097d58c2a74874c7e644dbc9b0cee75a2"),
            "SmolLM2-135M");
  EXPECT_EQ(name("/blobs/sha256-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "Own"), "Own");
  EXPECT_EQ(name("model.gguf"), "model");
  EXPECT_EQ(name("x/GGML_Model-BF16.gguf"), "x");
  EXPECT_EQ(name("x/gpt-oss-20b-mxfp4.gguf"), "gpt-oss-20b");
  EXPECT_EQ(name("x/Q4_0.gguf"), "Q4_0");
  EXPECT_EQ(name("x/0123456789abcdef0123456789abcdef.gguf"), "x");
  EXPECT_EQ(name("x/0123456789abcdef0123456789abcde.gguf"), "0123456789abcdef0123456789abcde");
  EXPECT_EQ(name("x/sha256-0123456789abcdef0123456789abcdeg"), "sha256-0123456789abcdef0123456789abcdeg");
}

// What somebody's folder may hold.
TEST(ModelName, of_a_megabyte) {
  constexpr std::size_t kLong = std::size_t{1} << 20;
  EXPECT_EQ(model_name("x/" + std::string(kLong, 'a') + ".gguf", "Own"), "Own") << "as a digest";
  EXPECT_EQ(model_name("x/" + std::string(kLong, 'm') + "-Q4_0.gguf", "Own"), std::string(kLong, 'm'));
  std::string ragged;
  while (ragged.size() < kLong) ragged += "_Q4_A";
  EXPECT_EQ(model_name("x/m-" + ragged + "-.gguf", "Own"), "m-" + ragged + "-");
}

}  // namespace
}  // namespace glia::engine
