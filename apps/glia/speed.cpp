#include "speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>

namespace glia::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

/// One stream: when its pieces came.
class TimedSink final : public engine::GenerationSink {
 public:
  TimedSink(SteadyClock::time_point start, std::int32_t answer, std::atomic<std::int64_t>& tokens_done)
      : start_(start), tokens_done_(tokens_done) {
    times_.reserve(static_cast<std::size_t>(answer));
  }

  void text(std::string_view /*piece*/, std::span<const std::int32_t> tokens) override {
    if (tokens.empty()) return;
    times_.push_back(seconds_since(start_));
    tokens_done_ += static_cast<std::int64_t>(tokens.size());
  }
  void done(const engine::GenerateResult& result) override { over(result, {}); }
  void failed(const Error& error) override { over({}, error); }

  bool wait(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return over_; });
  }

  // After wait() said so:
  const std::optional<Error>& error() const { return error_; }
  const engine::GenerateResult& result() const { return result_; }
  const std::vector<double>& times() const { return times_; }  ///< seconds since the start, of each piece

 private:
  void over(const engine::GenerateResult& result, std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    result_ = result;
    error_ = std::move(error);
    over_ = true;
    changed_.notify_all();
  }

  const SteadyClock::time_point start_;
  std::atomic<std::int64_t>& tokens_done_;
  std::vector<double> times_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  engine::GenerateResult result_;
  std::optional<Error> error_;
};

engine::GenerateRequest request_of(const SpeedLoad& load, std::mt19937& random, std::int32_t vocab) {
  std::uniform_int_distribution<std::int32_t> id(0, vocab - 1);
  engine::GenerateRequest request;
  request.prompt.resize(static_cast<std::size_t>(load.prompt));
  for (auto& token : request.prompt) token = id(random);
  request.max_tokens = load.answer;
  request.ignore_end_tokens = true;
  request.sampling.temperature = 0;
  request.prefix_cache = engine::PrefixCache::off;
  return request;
}

struct Stream {
  std::shared_ptr<TimedSink> sink;
  std::shared_ptr<engine::Generation> generation;
};

/// Waits for every stream, so that none outlives the counters. Errors: the first failure, or aborted after `stop`.
void wait_for_all(const std::vector<Stream>& streams, const std::atomic<bool>& stop) {
  bool told = false;
  for (const auto& stream : streams) {
    while (!stream.sink->wait(std::chrono::milliseconds(50))) {
      if (!stop || told) continue;
      for (const auto& s : streams) s.generation->cancel();
      told = true;
    }
  }
  for (const auto& stream : streams) {
    if (stream.sink->error()) throw *stream.sink->error();
  }
  if (stop) throw Error(ErrorCode::aborted, "interrupted");
}

Speed summary(const SpeedLoad& load, const std::vector<Stream>& streams, double seconds) {
  std::vector<double> first;
  std::vector<double> between;
  std::vector<double> rates;
  for (const auto& stream : streams) {
    const auto& times = stream.sink->times();
    const auto& timing = stream.sink->result().timing;
    first.push_back(static_cast<double>(timing.first_token_ns) * 1e-9);
    for (std::size_t i = 1; i < times.size(); i++) between.push_back(times[i] - times[i - 1]);
    const double decoding = static_cast<double>(timing.total_ns - timing.first_token_ns) * 1e-9;
    if (load.answer > 1 && decoding > 0) rates.push_back((load.answer - 1) / decoding);
  }
  Speed speed;
  const double all = load.concurrency;
  speed.seconds = seconds;
  speed.first_token_worst_s = *std::max_element(first.begin(), first.end());
  speed.first_token_p50_s = quantile(first, 0.5);
  speed.prompt_tokens_per_s = all * load.prompt / speed.first_token_worst_s;
  speed.answer_tokens_per_s = all * load.answer / seconds;
  speed.stream_tokens_per_s = quantile(rates, 0.5);
  speed.between_tokens_p50_s = quantile(between, 0.5);
  speed.between_tokens_p99_s = quantile(between, 0.99);
  return speed;
}

}  // namespace

double quantile(std::vector<double>& values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

Speed measure_speed(engine::ChatModel& model, const SpeedLoad& load, std::atomic<std::int64_t>& tokens_done,
                    const std::atomic<bool>& stop) {
  std::mt19937 random(load.seed);
  std::vector<engine::GenerateRequest> requests;
  for (std::int32_t i = 0; i < load.concurrency; i++) {
    requests.push_back(request_of(load, random, model.tokenizer().vocab_size()));
  }
  std::vector<Stream> streams;
  const auto start = SteadyClock::now();
  std::exception_ptr refused;
  for (auto& request : requests) {
    auto sink = std::make_shared<TimedSink>(start, load.answer, tokens_done);
    try {
      auto generation = model.generate(std::move(request), sink);
      streams.push_back({std::move(sink), std::move(generation)});
    } catch (...) {
      refused = std::current_exception();
      for (const auto& stream : streams) stream.generation->cancel();
      break;
    }
  }
  wait_for_all(streams, stop);
  if (refused) std::rethrow_exception(refused);
  return summary(load, streams, seconds_since(start));
}

}  // namespace glia::cli
