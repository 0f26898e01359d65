// An engine for tests: a byte-per-token vocabulary, a plain chat template, and generations that the test drives by
// hand.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"

namespace glia::tasks::fake {

inline constexpr std::int32_t kImStart = 256;
inline constexpr std::int32_t kImEnd = 257;
inline constexpr std::string_view kChatMl =
    "{% for m in messages %}{% if m.role == 'bad' %}{{ raise_exception('roles must be good') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// tokenizer.json of a vocabulary with one token per byte (GPT-2's byte alphabet) and ChatML's two marks.
inline text::Tokenizer byte_tokenizer() {
  const auto utf8 = [](unsigned c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
  };
  json::object vocab;
  unsigned shifted = 0;
  for (unsigned b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    vocab[utf8(printable ? b : 256 + shifted++)] = b;
  }
  json::array added;
  for (const auto& [id, content] : {std::pair(kImStart, "<|im_start|>"), std::pair(kImEnd, "<|im_end|>")}) {
    added.push_back(json::object{{"id", id},
                                 {"content", content},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
  }
  const json::object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const json::object model{{"type", "BPE"},
                           {"dropout", nullptr},
                           {"unk_token", nullptr},
                           {"continuing_subword_prefix", nullptr},
                           {"end_of_word_suffix", nullptr},
                           {"fuse_unk", false},
                           {"byte_fallback", false},
                           {"vocab", vocab},
                           {"merges", json::array{}}};
  const json::object whole{{"version", "1.0"},          {"truncation", nullptr}, {"padding", nullptr},
                           {"added_tokens", added},     {"normalizer", nullptr}, {"pre_tokenizer", byte_level},
                           {"post_processor", nullptr}, {"decoder", byte_level}, {"model", model}};
  return text::Tokenizer::from_json(json::serialize(whole));
}

/// One generation; the test plays the scheduler.
class Generation final : public engine::Generation {
 public:
  Generation(engine::GenerateRequest request, std::shared_ptr<engine::GenerationSink> sink)
      : request_(std::move(request)), sink_(std::move(sink)) {}

  void cancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  bool cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  const engine::GenerateRequest& request() const { return request_; }

  /// One token per byte.
  void say(std::string_view piece) {
    std::vector<std::int32_t> ids;
    for (const char c : piece) ids.push_back(static_cast<unsigned char>(c));
    sampled_ += static_cast<std::int32_t>(ids.size());
    sink_->text(piece, ids);
  }
  void finish(engine::FinishReason reason) {
    engine::GenerateResult r;
    r.reason = reason;
    r.usage = {static_cast<std::int32_t>(request_.prompt.size()), sampled_, 0};
    r.timing = {0, 2'000'000, 5'000'000};
    std::exchange(sink_, nullptr)->done(r);
  }
  /// Cancelled before anything went through the model.
  void drop() {
    engine::GenerateResult r;
    r.reason = engine::FinishReason::cancelled;
    std::exchange(sink_, nullptr)->done(r);
  }
  void fail(const Error& error) { std::exchange(sink_, nullptr)->failed(error); }

 private:
  const engine::GenerateRequest request_;
  std::shared_ptr<engine::GenerationSink> sink_;
  std::int32_t sampled_ = 0;
  std::mutex mutex_;
  bool cancelled_ = false;
};

class Model final : public engine::ChatModel {
 public:
  explicit Model(std::optional<std::string_view> chat = kChatMl, std::int32_t context = 1024) : context_(context) {
    if (chat) template_.emplace(*chat, "", "<|im_end|>");
  }
  const std::string& name() const override { return name_; }
  std::int32_t context() const override { return context_; }
  std::size_t bytes() const override { return 1; }
  const text::Tokenizer& tokenizer() const override { return tokenizer_; }
  const text::ChatTemplate* chat_template() const override { return template_ ? &*template_ : nullptr; }
  std::shared_ptr<engine::Generation> generate(engine::GenerateRequest request,
                                               std::shared_ptr<engine::GenerationSink> sink) override {
    if (refuse) throw Error(*refuse);
    auto generation = std::make_shared<Generation>(std::move(request), std::move(sink));
    if (on_generate) {
      on_generate(*generation);
      return generation;
    }
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(generation);
    }
    changed_.notify_all();
    return generation;
  }

  /// The next generation that was handed over; waits for it.
  std::shared_ptr<Generation> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !waiting_.empty(); });
    auto g = std::move(waiting_.front());
    waiting_.pop_front();
    return g;
  }

  std::optional<Error> refuse;                   ///< what generate() throws
  std::function<void(Generation&)> on_generate;  ///< instead of next()

 private:
  std::string name_ = "fake";
  std::int32_t context_;
  text::Tokenizer tokenizer_ = byte_tokenizer();
  std::optional<text::ChatTemplate> template_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Generation>> waiting_;
};

class Engine final : public engine::Engine {
 public:
  explicit Engine(std::shared_ptr<Model> model) : model_(std::move(model)) {}
  std::shared_ptr<engine::ChatModel> acquire(const std::filesystem::path& path,
                                             const engine::AcquireOptions& /*options*/ = {}) override {
    std::unique_lock lock(mutex_);
    acquired_.push_back(path);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    if (broken) throw Error(*broken);
    return model_;
  }
  std::shared_ptr<engine::ChatModel> find(const std::filesystem::path&) override {
    auto found = present ? model_ : nullptr;
    ++finds;
    return found;
  }
  std::shared_ptr<engine::TextEncoder> acquire_encoder(const std::filesystem::path&,
                                                       const engine::AcquireOptions& /*options*/ = {}) override {
    if (encoder == nullptr) throw Error(ErrorCode::model_unavailable, "the fake engine has no encoder");
    return encoder;
  }
  std::shared_ptr<engine::TextEncoder> find_encoder(const std::filesystem::path&) override { return nullptr; }
  engine::Stopped stop(const std::filesystem::path&) override { return engine::Stopped::not_loaded; }
  std::vector<engine::ModelStatus> status() const override { return statuses; }
  engine::EngineFigures figures() const override { return {0, 0, statuses}; }
  std::string_view device_name() const override { return "fake"; }

  /// acquire() waits while held.
  void hold(bool held) {
    {
      const std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }
  void wait_for_acquire() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !acquired_.empty(); });
  }
  std::vector<std::filesystem::path> acquired() {
    const std::lock_guard lock(mutex_);
    return acquired_;
  }

  std::shared_ptr<engine::TextEncoder> encoder;  ///< what acquire_encoder() gives
  std::optional<Error> broken;
  std::atomic<bool> present = false;  ///< find() gives the model
  std::atomic<int> finds = 0;         ///< calls of find() that have their answer
  std::vector<engine::ModelStatus> statuses;

 private:
  std::shared_ptr<Model> model_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::filesystem::path> acquired_;
  bool held_ = false;
};

}  // namespace glia::tasks::fake
