#include "work.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "base/json.h"

namespace glia::bench {
namespace {

/// Waits for one generation and keeps its text.
class Waiter final : public engine::GenerationSink {
 public:
  explicit Waiter(std::function<void()> over = {}) : when_over_(std::move(over)) {}
  void text(std::string_view piece, std::span<const std::int32_t> /*tokens*/) override { text_ += piece; }
  void done(const engine::GenerateResult& result) override { finish(result, {}); }
  void failed(const Error& error) override { finish({}, error.message()); }

  engine::GenerateResult wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_; });
    if (!error_.empty()) throw std::runtime_error(error_);
    return result_;
  }
  /// After wait().
  const std::string& text() const { return text_; }

 private:
  void finish(const engine::GenerateResult& result, std::string error) {
    {
      const std::lock_guard lock(mutex_);
      result_ = result;
      error_ = std::move(error);
      over_ = true;
      changed_.notify_all();
    }
    if (when_over_) when_over_();
  }

  const std::function<void()> when_over_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  engine::GenerateResult result_;
  std::string error_;
  std::string text_;
};

double seconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-9; }

std::vector<std::int32_t> random_tokens(std::mt19937& random, int tokens, int vocab) {
  std::uniform_int_distribution<std::int32_t> id(0, vocab - 1);
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(tokens));
  for (auto& t : prompt) t = id(random);
  return prompt;
}

engine::GenerateRequest greedy(std::vector<std::int32_t> prompt, int max_tokens) {
  engine::GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_end_tokens = true;
  request.sampling.temperature = 0;
  return request;
}

engine::Timing time_of(engine::ChatModel& model, engine::GenerateRequest request) {
  auto waiter = std::make_shared<Waiter>();
  model.generate(std::move(request), waiter);
  return waiter->wait().timing;
}

std::vector<std::int32_t> chat_prompt(const engine::ChatModel& model, const std::string& message) {
  if (model.chat_template() == nullptr) throw std::runtime_error("the weights carry no chat template");
  const std::string messages = json::serialize(json::array{json::object{{"role", "user"}, {"content", message}}});
  text::ChatTemplateInput in;
  in.messages_json = messages;
  in.literal_for = &model.tokenizer();
  return model.tokenizer().encode_prompt(model.chat_template()->render(in));
}

}  // namespace

double prefill(engine::ChatModel& model, std::mt19937& random, int tokens) {
  return seconds(
      time_of(model, greedy(random_tokens(random, tokens, model.tokenizer().vocab_size()), 1)).first_token_ns);
}

double decode(engine::ChatModel& model, std::mt19937& random, int steps, int sequences) {
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (int s = 0; s < sequences; s++) {
    waiters.push_back(std::make_shared<Waiter>());
    model.generate(greedy(random_tokens(random, 1, model.tokenizer().vocab_size()), steps + 1), waiters.back());
  }
  double longest = 0;
  for (auto& w : waiters) {
    const auto t = w->wait().timing;
    longest = std::max(longest, seconds(t.total_ns - t.first_token_ns));
  }
  return longest;
}

SharedPrefix shared_prefix(engine::ChatModel& model, std::mt19937& random, int tokens) {
  const int vocab = model.tokenizer().vocab_size();
  const auto prefix = random_tokens(random, tokens, vocab);
  const auto first_token = [&] {
    auto prompt = prefix;
    const auto own = random_tokens(random, 16, vocab);
    prompt.insert(prompt.end(), own.begin(), own.end());
    return seconds(time_of(model, greedy(std::move(prompt), 1)).first_token_ns);
  };
  const double first = first_token();
  return {.first_s = first, .second_s = first_token()};
}

Answer answer(engine::ChatModel& model, const std::string& message, int max_tokens) {
  auto waiter = std::make_shared<Waiter>();
  auto request = greedy(chat_prompt(model, message), max_tokens);
  request.ignore_end_tokens = false;
  model.generate(std::move(request), waiter);
  const auto result = waiter->wait();
  return {.seconds = seconds(result.timing.total_ns - result.timing.first_token_ns),
          .tokens = result.usage.completion_tokens,
          .text = waiter->text()};
}

Crowd crowd(engine::ChatModel& model, const std::string& file, int at_once) {
  std::vector<engine::GenerateRequest> requests;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto asked = parse_json(line);
    requests.push_back(greedy(chat_prompt(model, std::string(asked.at("content").as_string())),
                              asked.at("max_tokens").to_number<int>()));
    requests.back().ignore_end_tokens = false;
  }
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  std::vector<std::shared_ptr<Waiter>> waiters;
  const auto start = std::chrono::steady_clock::now();
  for (auto& request : requests) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return running < at_once; });
      running++;
    }
    waiters.push_back(std::make_shared<Waiter>([&] {
      const std::lock_guard lock(mutex);
      running--;
      changed.notify_all();
    }));
    model.generate(std::move(request), waiters.back());
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return running == 0; });
  }
  Crowd out{.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
  for (const auto& w : waiters) out.tokens += w->wait().usage.completion_tokens;
  return out;
}

}  // namespace glia::bench
