// For tests: a language model whose logits are a function of the token history alone, read back from its KV pages, and
// a loader that gives it out. A page that is lost, shared by mistake or reused too early changes the answer.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/loader.h"
#include "engine/random.h"

namespace glia::engine::fake {

constexpr std::int32_t kVocab = 97;
constexpr std::int32_t kEnd = 0;
constexpr std::int32_t kNoLogits = 96;  ///< after this token the model gives NaN

/// What followed the last token where it stood before, the latest time but for a few that are different; -1: nothing.
inline std::int32_t echo_of(std::span<const std::int32_t> history) {
  if (history.size() % 11 == 0) return -1;
  for (std::size_t i = history.size() - 1; i-- > 0;) {
    if (history[i] == history.back()) return history[i + 1];
  }
  return -1;
}

/// History to logits; what tests compare against. `echo`: it likes to repeat itself.
inline void logits_after(std::span<const std::int32_t> history, std::span<float> logits, bool echo = false) {
  std::uint64_t state = history.size();
  for (const std::int32_t id : history) state = random_bits(state, static_cast<std::uint64_t>(id));
  const std::int32_t repeated = echo ? echo_of(history) : -1;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(random_unit(state, i) * 6.0 - (i == kEnd || i == kNoLogits ? 5.0 : 0.0));
    if (static_cast<std::int32_t>(i) == repeated) logits[i] += 5;
    if (history.back() == kNoLogits) logits[i] = std::numeric_limits<float>::quiet_NaN();
  }
}

inline std::string token_text(std::int32_t id) {
  return id == kEnd ? "" : std::string(1, static_cast<char>('!' + id % 90));
}

/// Two tokens per piece, so that text is held back as by a real decoder.
class Decoder final : public PieceDecoder {
 public:
  std::string push(std::int32_t id) override {
    held_ += token_text(id);
    if (++pushed_ % 2 == 1) return {};
    return std::exchange(held_, {});
  }
  std::string finish() override { return std::exchange(held_, {}); }

 private:
  std::string held_;
  int pushed_ = 0;
};

class Cache final : public kernels::KvCache {
 public:
  explicit Cache(const kernels::KvShape& shape)
      : shape_(shape),
        tokens(static_cast<std::size_t>(shape.pages) * static_cast<std::size_t>(shape.page_tokens), -1) {}
  const kernels::KvShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return tokens.size() * 16; }

 private:
  kernels::KvShape shape_;

 public:
  std::vector<std::int32_t> tokens;
};

/// What tests do to a running model. Shared between the test and the step thread.
struct Control {
  std::mutex mutex;
  std::condition_variable changed;
  std::int64_t steps_allowed = -1;  ///< forward waits when they are used up; -1: no limit
  std::int64_t steps = 0;           ///< forwards begun
  bool throws = false;              ///< the next forward throws
  std::atomic<bool> echo{false};    ///< logits_after's
  std::chrono::microseconds step_time{0};
  ManualClock* clock = nullptr;  ///< the engine's: every step takes 1 ms of it, whatever its rows
  std::atomic<std::int32_t> most_rows{0};
  std::function<void(bool begins)> on_forward;  ///< at its two ends; set before anything runs

  void allow(std::int64_t more) {
    const std::lock_guard lock(mutex);
    steps_allowed = more < 0 ? -1 : std::max<std::int64_t>(steps_allowed, 0) + more;
    changed.notify_all();
  }
  void wait_for_steps(std::int64_t n) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return steps >= n; });
  }
  /// What every forward begins with.
  void enter() {
    std::unique_lock lock(mutex);
    ++steps;
    changed.notify_all();
    changed.wait(lock, [&] { return steps_allowed != 0; });
    if (steps_allowed > 0) --steps_allowed;
    const auto pause = step_time;
    if (std::exchange(throws, false)) throw Error(ErrorCode::internal, "the device broke");
    lock.unlock();
    if (clock != nullptr) clock->advance_ms(1);
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
  }
};

class Model final : public models::LanguageModel {
 public:
  Model(std::shared_ptr<Control> control, std::int32_t context, std::size_t weight_bytes)
      : control_(std::move(control)) {
    info_.architecture = "fake";
    info_.vocab = kVocab;
    info_.context = context;
    info_.weight_bytes = weight_bytes;
  }
  const models::LanguageModelInfo& info() const override { return info_; }
  std::unique_ptr<kernels::KvCache> create_kv_cache(std::int32_t pages, std::int32_t page_tokens) override {
    return std::make_unique<Cache>(kernels::KvShape{1, 1, 1, page_tokens, pages});
  }

  void forward(const models::Batch& batch, kernels::KvCache& cache, std::span<float> logits) override {
    if (control_->on_forward) control_->on_forward(true);
    control_->enter();
    const auto rows = static_cast<std::int32_t>(batch.tokens.size());
    control_->most_rows = std::max(control_->most_rows.load(), rows);
    auto& tokens = static_cast<Cache&>(cache).tokens;
    const auto page_tokens = static_cast<std::size_t>(cache.shape().page_tokens);
    const auto place = [&](std::size_t row, std::size_t position) -> std::int32_t& {
      const auto pages = batch.rows.page_tables[static_cast<std::size_t>(batch.rows.sequences[row])];
      return tokens[static_cast<std::size_t>(pages[position / page_tokens]) * page_tokens + position % page_tokens];
    };
    for (std::size_t i = 0; i < batch.tokens.size(); ++i) {
      place(i, static_cast<std::size_t>(batch.rows.positions[i])) = batch.tokens[i];
    }
    std::vector<std::int32_t> history;
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const auto row = static_cast<std::size_t>(batch.logit_rows[i]);
      history.clear();
      for (std::size_t p = 0; p <= static_cast<std::size_t>(batch.rows.positions[row]); ++p)
        history.push_back(place(row, p));
      logits_after(history, logits.subspan(i * kVocab, kVocab), control_->echo);
    }
    if (control_->on_forward) control_->on_forward(false);
  }

 private:
  std::shared_ptr<Control> control_;
  models::LanguageModelInfo info_;
};

/// A disk in memory: files with sizes and versions that tests change.
class Loader final : public ModelLoader {
 public:
  struct File {
    std::uint64_t version = 1;
    std::size_t bytes = 1000;      ///< estimate, and what is loaded
    std::size_t loaded_bytes = 0;  ///< if not 0: what is loaded instead
    bool broken = false;
    bool encodes = false;  ///< fake_encoder.h's model, which make_encoder makes
  };

  std::optional<FileStamp> stamp(const std::filesystem::path& path) override {
    const std::lock_guard lock(mutex);
    const auto file = files.find(path.string());
    if (file == files.end()) return std::nullopt;
    return FileStamp{file->second.bytes, file->second.version};
  }
  MemoryNeeds estimate(const std::filesystem::path& path) override {
    const std::lock_guard lock(mutex);
    MemoryNeeds needs;
    needs.model.weight_bytes = files.at(path.string()).bytes;
    needs.model.kv_bytes_per_token = 16;
    needs.model.context = context;
    needs.text_bytes = text_bytes;
    needs.loading_bytes = loading_bytes;
    return needs;
  }

  LoadedModel load(const std::filesystem::path& path) override {
    const auto pause = load_time;
    std::this_thread::sleep_for(pause);
    const std::lock_guard lock(mutex);
    ++loads[path.string()];
    const File& file = files.at(path.string());
    if (file.broken) throw Error(ErrorCode::model_unavailable, "broken file");
    LoadedModel loaded;
    loaded.name = path.stem().string();
    const std::size_t bytes = file.loaded_bytes != 0 ? file.loaded_bytes : file.bytes;
    if (file.encodes) {
      loaded.encoder = make_encoder(control, context, bytes);
      return loaded;
    }
    loaded.model = std::make_unique<Model>(control, context, bytes);
    loaded.end_tokens = {kEnd};
    loaded.make_decoder = [] { return std::make_unique<Decoder>(); };
    return loaded;
  }
  std::string_view device_name() const override { return "fake"; }

  std::mutex mutex;
  std::map<std::string, File> files{{"/fake.gguf", {}}};
  std::map<std::string, int> loads;
  std::chrono::milliseconds load_time{0};
  std::int32_t context = 512;
  std::size_t text_bytes = 0;     ///< of every estimate
  std::size_t loading_bytes = 0;  ///< likewise
  std::shared_ptr<Control> control = std::make_shared<Control>();
  std::function<std::unique_ptr<models::EncoderModel>(std::shared_ptr<Control>, std::int32_t, std::size_t)>
      make_encoder;
};

/// Collects one generation and checks the contract of GenerationSink.
class Sink final : public GenerationSink {
 public:
  void text(std::string_view piece, std::span<const std::int32_t> tokens) override {
    std::function<void(Sink&)> hook;
    {
      const std::lock_guard lock(mutex_);
      out_of_contract_ = out_of_contract_ || ended_ || (piece.empty() && tokens.empty());
      text_ += piece;
      tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
      hook = on_text;
    }
    if (hook) hook(*this);
  }
  void done(const GenerateResult& result) override {
    end([&] { result_ = result; });
  }
  void failed(const Error& error) override {
    end([&] { error_ = error; });
  }

  /// Waits for the end.
  Sink& wait() {
    std::unique_lock lock(mutex_);
    ended_signal_.wait(lock, [this] { return ended_; });
    return *this;
  }
  bool ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  bool in_contract() const {
    const std::lock_guard lock(mutex_);
    return !out_of_contract_;
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  std::vector<std::int32_t> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::optional<GenerateResult> result() const {
    const std::lock_guard lock(mutex_);
    return result_;
  }
  std::optional<Error> error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

  std::function<void(Sink&)> on_text;  ///< set before generate()

 private:
  template <typename Set>
  void end(Set set) {
    const std::lock_guard lock(mutex_);
    out_of_contract_ = out_of_contract_ || ended_;
    set();
    ended_ = true;
    ended_signal_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable ended_signal_;
  std::string text_;
  std::vector<std::int32_t> tokens_;
  std::optional<GenerateResult> result_;
  std::optional<Error> error_;
  bool ended_ = false;
  bool out_of_contract_ = false;
};

}  // namespace glia::engine::fake
