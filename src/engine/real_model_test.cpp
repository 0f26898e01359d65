// The engine on the real weights and the real device: what the fake cannot show.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "base/sanitized.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "engine/fake_model.h"
#include "text/stored_weights.h"

namespace glia::engine {
namespace {

using fake::Sink;

class RealModel : public testing::Test {
 protected:
  void start(const EngineOptions& options = {}) {
    engine_ = make_engine(options, *clock_);
    model_ = engine_->acquire(text::smollm2_path());
  }

  GenerateRequest request(std::string_view question, std::int32_t max_tokens, std::uint64_t seed) const {
    json::array messages{json::object{{"role", "user"}, {"content", question}}};
    GenerateRequest r;
    r.prompt = model_->tokenizer().encode(model_->chat_template()->render({.messages_json = json::serialize(messages)}),
                                          false);
    r.max_tokens = max_tokens;
    r.sampling = {.temperature = 0.9F, .top_p = 0.95F, .repetition_penalty = 1.1F, .seed = seed};
    if (seed % 3 == 0) r.sampling = {.temperature = 0.0F};
    return r;
  }

  std::vector<GenerateRequest> requests() const {
    std::vector<GenerateRequest> all;
    const std::vector<std::string> questions = {"Say hello.",
                                                "What is the capital of France?",
                                                "Schreibe einen Satz über Käse. 🧀",
                                                "Count from one to twenty.",
                                                "Translate \"good morning\" into Japanese.",
                                                "Write a C function."};
    for (std::size_t i = 0; i < questions.size(); ++i)
      all.push_back(request(questions[i], 12 + 2 * static_cast<std::int32_t>(i), i));
    std::string long_question = "Summarise:";
    for (int i = 0; i < 30; ++i)
      long_question += " The lighthouse keeper counted ship number " + std::to_string(i) + ".";
    all.push_back(request(long_question, 10, 7));
    return all;
  }

  std::shared_ptr<Sink> run(const GenerateRequest& r, std::shared_ptr<Generation>* handle = nullptr) {
    auto sink = std::make_shared<Sink>();
    auto generation = model_->generate(r, sink);
    if (handle != nullptr) *handle = std::move(generation);
    return sink;
  }

  std::unique_ptr<Clock> clock_ = std::make_unique<SystemClock>();
  std::unique_ptr<Engine> engine_;
  std::shared_ptr<ChatModel> model_;
};

/// A millisecond passes between any two looks at it: to the engine every step takes the same time, whatever its rows.
class CountingClock final : public Clock {
 public:
  std::int64_t unix_ms() const override { return ++looks_; }
  std::int64_t steady_ns() const override { return ++looks_ * 1'000'000; }

 private:
  mutable std::atomic<std::int64_t> looks_{0};
};

TEST_F(RealModel, is_what_it_says) {
  start();
  EXPECT_EQ(model_->name(), "SmolLM2-135M-Instruct");
  EXPECT_EQ(model_->context(), 8192);
  ASSERT_NE(model_->chat_template(), nullptr);
  EXPECT_EQ(model_->tokenizer().vocab_size(), 49152);
  EXPECT_EQ(engine_->acquire(text::smollm2_path()), model_);
  EXPECT_TRUE(engine_->device_name().starts_with("cpu"));
}

// Alone, in a crowd, in another order, in other batches and pages: the same tokens and the same bytes.
TEST_F(RealModel, answers_the_same_alone_and_in_a_crowd) {
  start();
  std::vector<std::vector<std::int32_t>> tokens;
  std::vector<std::string> texts;
  for (const GenerateRequest& r : requests()) {
    const auto sink = run(r);
    ASSERT_TRUE(sink->wait().result()) << sink->error()->message();
    tokens.push_back(sink->tokens());
    texts.push_back(sink->text());
    EXPECT_EQ(first_invalid_utf8(texts.back()), std::string::npos);
    EXPECT_EQ(texts.back(), model_->tokenizer().decode(tokens.back(), true));
    EXPECT_EQ(sink->result()->usage.prompt_tokens, static_cast<std::int32_t>(r.prompt.size()));
    EXPECT_EQ(sink->result()->usage.completion_tokens, static_cast<std::int32_t>(tokens.back().size()));
  }
  for (const EngineOptions& options :
       {EngineOptions{}, EngineOptions{.threads = 1, .page_tokens = 7, .max_batch_rows = 19},
        EngineOptions{.page_tokens = 64, .max_batch_rows = 150, .max_running = 4}}) {
    model_.reset();
    start(options);
    auto all = requests();
    std::vector<std::size_t> order(all.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::shuffle(order.begin(), order.end(), std::mt19937(static_cast<unsigned>(options.page_tokens)));
    std::vector<std::shared_ptr<Sink>> sinks(all.size());
    for (const std::size_t i : order) sinks[i] = run(all[i]);
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(sinks[i]->wait().result()) << sinks[i]->error()->message();
      EXPECT_EQ(sinks[i]->tokens(), tokens[i]) << "request " << i;
      EXPECT_EQ(sinks[i]->text(), texts[i]) << "request " << i;
    }
    EXPECT_EQ(engine_->status().at(0).kv_pages_used, 0);
  }
}

// The greedy answer of transformers over the same weights, dequantised (AutoModelForCausalLM with gguf_file, float32).
TEST_F(RealModel, stops_at_stop_strings_and_end_tokens) {
  start({.math = kernels::MathMode::exact});
  GenerateRequest r = request("What is the capital of France?", 60, 0);
  const auto whole = run(r);
  whole->wait();
  EXPECT_EQ(whole->result()->reason, FinishReason::stop);
  EXPECT_EQ(whole->text(), "The capital of France is Paris.");
  EXPECT_EQ(model_->tokenizer().token_text(whole->tokens().back()), "<|im_end|>");
  r.stop = {"aris"};
  const auto cut = run(r);
  EXPECT_EQ(cut->wait().result()->reason, FinishReason::stop);
  EXPECT_EQ(cut->text(), "The capital of France is P");
}

// Guesses on and off, alone and in a crowd, greedy and sampled, with so little memory that some are set back: the same
// tokens, in fewer steps.
TEST_F(RealModel, guesses_change_no_token) {
  constexpr std::string_view kText =
      "The harbour opened in 1874 with two piers of granite. A storm in 1903 broke the northern pier, and it was built "
      "again in 1911 with a lighthouse at its end. The lighthouse keeper wrote a diary of every ship that came.";
  std::vector<std::string> questions;
  for (const std::string_view task : {"Repeat this text word for word: ", "Repeat each sentence in quotes: ",
                                      "Quote the sentences that have a year in them: ", "Summarise: "})
    questions.push_back(std::string(task) + std::string(kText));
  clock_ = std::make_unique<CountingClock>();  // how much is guessed hangs on what steps cost, not here on the machine
  start({.speculation = false});
  std::vector<GenerateRequest> all;
  for (std::uint64_t i = 0; i < 8; ++i) all.push_back(request(questions[i % 4], 60, i));
  std::vector<std::vector<std::int32_t>> tokens;
  for (const auto& r : all) tokens.push_back(run(r)->wait().tokens());
  EXPECT_EQ(engine_->status().at(0).drafted_tokens, 0);
  for (const EngineOptions& options :
       {EngineOptions{}, EngineOptions{.prefix_cache = false},
        EngineOptions{.kv_bytes = std::size_t{9} << 20, .page_tokens = 8, .max_batch_rows = 40}}) {
    for (const bool crowd : {false, true}) {
      model_.reset();
      start(options);
      std::vector<std::shared_ptr<Sink>> sinks;
      for (const auto& r : all) {
        sinks.push_back(run(r));
        if (!crowd) sinks.back()->wait();
      }
      for (std::size_t i = 0; i < all.size(); ++i) {
        ASSERT_TRUE(sinks[i]->wait().result()) << sinks[i]->error()->message();
        EXPECT_EQ(sinks[i]->tokens(), tokens[i]) << "request " << i;
        EXPECT_EQ(sinks[i]->text(), model_->tokenizer().decode(tokens[i], true));
      }
      const ModelStatus s = engine_->status().at(0);
      EXPECT_EQ(s.kv_pages_used, 0);
      if (!crowd) {
        EXPECT_GT(s.accepted_tokens, s.generated_tokens / 4);
      } else if (options.page_tokens == 8) {
        EXPECT_GT(s.set_back, 0);
      }
    }
  }
}

TEST_F(RealModel, a_crowd_of_which_a_third_leaves) {
  start({.max_batch_rows = 96});
  std::vector<std::shared_ptr<Sink>> sinks;
  std::vector<std::shared_ptr<Generation>> handles(32);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < 32; ++i)
    sinks.push_back(run(request("Tell me a story.", 1 + static_cast<std::int32_t>(random() % 16), i), &handles[i]));
  for (std::size_t i = 0; i < 32; i += 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 30));
    handles[i]->cancel();
  }
  for (const auto& sink : sinks) EXPECT_TRUE(sink->wait().result());
  const ModelStatus status = engine_->status().at(0);
  EXPECT_EQ(status.kv_pages_used, 0);
  EXPECT_EQ(status.running + status.queued, 0);
}

// Peak memory from the first byte of the load to the last token: at most the weights times 1.6 and 200 MB.
TEST_F(RealModel, memory_stays_within_bounds) {
  if (kSanitized) return;                         // shadow memory is not the engine's
  std::ofstream("/proc/self/clear_refs") << "5";  // forget the peak of tests before
  start();
  run(request("Tell me a story.", 30, 1))->wait();
  std::ifstream status("/proc/self/status");
  std::string word;
  std::size_t peak_kb = 0;
  while (status >> word) {
    if (word == "VmHWM:") status >> peak_kb;
  }
  const double weights = static_cast<double>(std::filesystem::file_size(text::smollm2_path()));
  EXPECT_GT(peak_kb, 0U);
  EXPECT_LE(static_cast<double>(peak_kb) * 1024, weights * 1.6 + 200e6);
}

// A folder of one's own that goes with the test.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("glia-engine-" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, std::string_view text) const { std::ofstream(path_ / name) << text; }

 private:
  std::filesystem::path path_;
};

// A tiny random model of the goldens, with a tokenizer of four words.
TEST(DiskLoader, loads_a_hugging_face_folder_and_again_when_it_changed) {
  const Folder place;
  const auto folder = place.path() / "tiny-llama";
  std::filesystem::copy(std::filesystem::path(GLIA_SOURCE_DIR) / "tests/golden/llama/mqa_tied", folder);
  std::ofstream(folder / "tokenizer.json") << R"({"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 0, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
                      "normalized": false, "special": true}],
    "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
    "model": {"type": "WordLevel", "vocab": {"</s>": 0, "<unk>": 1, "hello": 2, "world": 3}, "unk_token": "<unk>"}})";
  std::ofstream(folder / "tokenizer_config.json")
      << R"({"eos_token": "</s>", "chat_template": [{"name": "other", "template": "x"},
             {"name": "default", "template": "{{ messages[0]['content'] }} world{{ eos_token }}"}]})";
  const SystemClock clock;
  auto engine = make_engine({}, clock);
  const auto model = engine->acquire(folder);
  EXPECT_EQ(model->name(), "tiny-llama");
  ASSERT_NE(model->chat_template(), nullptr);
  const std::string text = model->chat_template()->render({.messages_json = R"([{"role":"user","content":"hello"}])"});
  EXPECT_EQ(text, "hello world</s>");
  EXPECT_EQ(model->tokenizer().encode(text, false), (std::vector<std::int32_t>{2, 3, 0}));
  EXPECT_EQ(model->tokenizer().end_tokens(), std::vector<std::int32_t>{0});
  GenerateRequest r;
  r.prompt = {2, 3};
  r.max_tokens = 8;
  r.ignore_end_tokens = true;
  const auto sink = std::make_shared<Sink>();
  model->generate(r, sink);
  EXPECT_EQ(sink->wait().tokens().size(), 8U);

  EXPECT_EQ(engine->acquire(folder), model);
  std::ofstream(folder / "chat_template.jinja") << "{{ messages|length }}";
  const auto changed = engine->acquire(folder);
  EXPECT_NE(changed, model);
  EXPECT_EQ(changed->chat_template()->render({.messages_json = R"([{"role":"user","content":"hello"}])"}), "1");
  std::filesystem::remove(folder / "tokenizer.json");
  EXPECT_THROW(engine->acquire(folder), Error);
}

/// Logits of eight positions, and what was loaded.
std::vector<float> logits_of(LoadedModel& loaded) {
  const std::vector<std::int32_t> tokens = {1, 504, 3575, 282, 4649, 314, 2, 9};
  std::vector<std::int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<std::int32_t> sequences(tokens.size(), 0);
  const std::vector<std::int32_t> pages = {0};
  const std::span<const std::int32_t> table = pages;
  const auto cache = loaded.model->create_kv_cache(1, 32);
  std::vector<float> logits(tokens.size() * static_cast<std::size_t>(loaded.model->info().vocab));
  loaded.model->forward({tokens, {positions, sequences, {&table, 1}}, positions}, *cache, logits);
  return logits;
}

TEST(DiskLoader, mapped_weights_give_the_same_logits_to_the_bit) {
  const Folder place;
  const PackedCacheOptions cache = {.folder = place.path() / "packed"};
  for (const auto math : {kernels::MathMode::fast, kernels::MathMode::exact}) {
    const auto loader = make_disk_loader({.threads = 2, .math = math}, cache);
    const auto needs = loader->estimate(text::smollm2_path());
    auto plain = make_disk_loader({.threads = 2, .math = math})->load(text::smollm2_path());
    EXPECT_EQ(plain.keeper, nullptr);
    auto packed = loader->load(text::smollm2_path());
    ASSERT_NE(packed.keeper, nullptr) << "nothing was there yet";
    packed.keeper->wait();
    auto mapped = loader->load(text::smollm2_path());
    EXPECT_EQ(mapped.keeper, nullptr) << "nothing had to be packed";
    const auto expected = logits_of(plain);
    for (LoadedModel* loaded : {&packed, &mapped}) {
      EXPECT_EQ(loaded->model->info().weight_bytes, plain.model->info().weight_bytes);
      EXPECT_LE(loaded->model->info().weight_bytes, needs.model.weight_bytes + needs.model.weight_bytes / 100);
      const auto logits = logits_of(*loaded);
      ASSERT_EQ(std::memcmp(logits.data(), expected.data(), expected.size() * sizeof(float)), 0);
    }
  }
}

TEST(DiskLoader, a_stamp_is_of_every_part_of_a_split_file) {
  const Folder place;
  const auto write = [&](const char* name, std::string_view text) { std::ofstream(place.path() / name) << text; };
  write("m-00001-of-00002.gguf", "one");
  const auto loader = make_disk_loader({});
  const auto missing = loader->stamp(place.path() / "m-00001-of-00002.gguf");
  EXPECT_TRUE(missing);
  EXPECT_FALSE(loader->stamp(place.path() / "m.gguf"));
  write("m-00002-of-00002.gguf", "two");
  const auto before = loader->stamp(place.path() / "m-00001-of-00002.gguf");
  ASSERT_TRUE(before);
  EXPECT_EQ(before->bytes, 6U);
  EXPECT_NE(before, missing);
  EXPECT_EQ(loader->stamp(place.path() / "m-00001-of-00002.gguf"), before);
  write("m-00002-of-00002.gguf", "other");
  EXPECT_NE(loader->stamp(place.path() / "m-00001-of-00002.gguf"), before);
}

TEST(DiskLoader, names_what_is_wrong_with_a_file) {
  const SystemClock clock;
  auto engine = make_engine({}, clock);
  const Folder folder;
  std::filesystem::create_directories(folder.path() / "empty");
  folder.write("text.gguf", "this is no model");
  for (const char* name : {"text.gguf", "empty", "missing.gguf"}) {
    try {
      engine->acquire(folder.path() / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::model_unavailable);
      EXPECT_FALSE(error.detail().empty());
      EXPECT_EQ(error.message().find(folder.path().string()), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace glia::engine
