// Our side of a comparison: loads a model once, then runs one measured piece of work per line of standard input and
// prints its seconds. bench/run.py interleaves it with a peer's worker that speaks the same lines:
//   prefill N        seconds to take in N random tokens up to the logits of the last
//   decode N S       seconds for N steps of S sequences, one token each, after an empty start
//   quit
// usage: glia_worker MODEL [threads]
#include <charconv>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>

#include "engine/engine.h"

namespace {

using namespace glia;

/// Waits for one generation.
class Waiter final : public engine::GenerationSink {
 public:
  void text(std::string_view, std::span<const std::int32_t>) override {}
  void done(const engine::GenerateResult& result) override { finish(result, {}); }
  void failed(const Error& error) override { finish({}, error.message()); }

  engine::GenerateResult wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return over_; });
    if (!error_.empty()) throw std::runtime_error(error_);
    return result_;
  }

 private:
  void finish(const engine::GenerateResult& result, std::string error) {
    const std::lock_guard lock(mutex_);
    result_ = result;
    error_ = std::move(error);
    over_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  engine::GenerateResult result_;
  std::string error_;
};

std::vector<std::int32_t> random_prompt(std::mt19937& random, int tokens, int vocab) {
  std::uniform_int_distribution<std::int32_t> id(0, vocab - 1);
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(tokens));
  for (auto& t : prompt) t = id(random);
  return prompt;
}

double prefill(engine::ChatModel& model, std::mt19937& random, int tokens) {
  auto waiter = std::make_shared<Waiter>();
  engine::GenerateRequest request;
  request.prompt = random_prompt(random, tokens, model.tokenizer().vocab_size());
  request.max_tokens = 1;
  request.ignore_end_tokens = true;
  request.sampling.temperature = 0;
  model.generate(std::move(request), waiter);
  return static_cast<double>(waiter->wait().timing.first_token_ns) * 1e-9;
}

/// Steps after the first token, of the generation that took longest.
double decode(engine::ChatModel& model, std::mt19937& random, int steps, int sequences) {
  std::vector<std::shared_ptr<Waiter>> waiters;
  for (int s = 0; s < sequences; s++) {
    engine::GenerateRequest request;
    request.prompt = random_prompt(random, 1, model.tokenizer().vocab_size());
    request.max_tokens = steps + 1;
    request.ignore_end_tokens = true;
    request.sampling.temperature = 0;
    waiters.push_back(std::make_shared<Waiter>());
    model.generate(std::move(request), waiters.back());
  }
  double longest = 0;
  for (auto& w : waiters) {
    const auto t = w->wait().timing;
    longest = std::max(longest, static_cast<double>(t.total_ns - t.first_token_ns) * 1e-9);
  }
  return longest;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: glia_worker MODEL [threads]\n";
    return 2;
  }
  engine::EngineOptions options;
  options.threads = argc > 2 ? std::stoi(argv[2]) : 0;
  options.kv_bytes = std::size_t{2} << 30;
  options.prefix_cache = false;  // every run computes its prompt
  const SystemClock clock;
  const auto engine = engine::make_engine(options, clock);
  const auto model = engine->acquire(argv[1]);
  std::cout << "ready glia " << engine->device_name() << std::endl;
  std::mt19937 random(1);
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string verb;
    int n = 0;
    int sequences = 1;
    words >> verb >> n >> sequences;
    if (verb == "quit") break;
    std::cout << (verb == "prefill" ? prefill(*model, random, n) : decode(*model, random, n, sequences)) << std::endl;
  }
  return 0;
} catch (const std::exception& e) {
  std::cerr << "glia_worker: " << e.what() << "\n";
  return 1;
}
