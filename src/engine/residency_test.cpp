#include <gtest/gtest.h>

#include "engine/fake_model.h"
#include "engine/memory_budget.h"

namespace glia::engine {
namespace {

using fake::Sink;

// 256-token contexts in pages of 32, 16 bytes a token: a model has 1024 bytes of KV pages here.
constexpr std::size_t kKv = 1024;

class ResidencyTest : public testing::Test {
 protected:
  void start(std::size_t budget) {
    auto loader = std::make_unique<fake::Loader>();
    loader_ = loader.get();
    for (const char* name : {"/a.gguf", "/b.gguf", "/c.gguf"}) loader->files[name] = {};
    engine_ = make_engine({.memory_budget = budget, .kv_bytes = kKv, .memory_wait_ms = 0}, clock_, std::move(loader));
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
}

}  // namespace
}  // namespace glia::engine
