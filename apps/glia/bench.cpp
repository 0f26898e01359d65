#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <future>
#include <iostream>

#include "base/json.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "commands.h"
#include "house.h"
#include "model_named.h"
#include "signals.h"
#include "speed.h"
#include "tasks/loaded_model.h"
#include "tasks/weights.h"
#include "terminal.h"
#include "version.h"

namespace glia::cli {
namespace {

struct Weights {
  std::string id;  ///< empty for a file that was named itself
  std::filesystem::path path;
  bool stand_in = false;
};

/// `model`: a catalogue id or alias, or a .gguf file or Hugging Face folder on this machine.
Weights weights_named(const Settings& settings, const std::string& model) {
  std::error_code ec;
  if (model.ends_with(".gguf") || std::filesystem::is_directory(model, ec)) {
    if (!std::filesystem::exists(model, ec)) throw UsageError("there is no file " + model);
    return {.id = "", .path = model};
  }
  const auto catalog = catalog::Catalog::load();
  const auto& entry = model_named(catalog, model);
  if (tasks::kind_of(entry) != tasks::ModelKind::chat) {
    throw UsageError("glia bench measures models that write text, " + entry.id + " reads texts (" + entry.task + ")");
  }
  const auto found = tasks::Weights(catalog, weights_options(settings)).resolve(entry);
  if (!found.available)
    throw std::runtime_error(found.advice.empty() ? entry.id + " is not served here" : found.advice);
  return {.id = entry.id, .path = found.path, .stand_in = found.stand_in};
}

/// One line on standard error that is painted over; nothing where that is no terminal.
class ProgressBar {
 public:
  void show(const SpeedLoad& load, std::int64_t done) const {
    if (!on_) return;
    const auto all = std::int64_t{load.concurrency} * load.answer;
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(all));
    const int filled = static_cast<int>(share * kWidth);
    std::string bar;
    for (int i = 0; i < kWidth; i++) bar += i < filled ? "█" : "░";
    const std::string streams = load.concurrency == 1 ? "1 stream" : std::to_string(load.concurrency) + " streams";
    std::cerr << "\r\033[K" << streams << " " << styled(STDERR_FILENO, Style::green, bar) << " "
              << (done == 0 ? "reading the prompts" : fixed(share * 100, 0) + " %") << std::flush;
  }
  void clear() const {
    if (on_) std::cerr << "\r\033[K" << std::flush;
  }

 private:
  static constexpr int kWidth = 28;
  bool on_ = ::isatty(STDERR_FILENO) == 1;
};

/// Runs one load on a thread of its own and paints while it waits. Errors: Error(aborted) after Ctrl-C.
Speed measured(engine::ChatModel& model, const SpeedLoad& load, const Signals& signals, const ProgressBar& bar) {
  std::atomic<std::int64_t> done{0};
  std::atomic<bool> stop{false};
  auto speed = std::async(std::launch::async, [&] { return measure_speed(model, load, done, stop); });
  while (speed.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    bar.show(load, done);
    if (signals.wait(50) != 0) stop = true;
  }
  bar.clear();
  return speed.get();
}

std::string milliseconds(double seconds) { return fixed(seconds * 1e3, seconds < 0.1 ? 1 : 0) + " ms"; }

json::object as_object(const SpeedLoad& load, const Speed& s) {
  return {{"concurrency", load.concurrency},
          {"seconds", s.seconds},
          {"prompt_tokens_per_s", s.prompt_tokens_per_s},
          {"answer_tokens_per_s", s.answer_tokens_per_s},
          {"stream_tokens_per_s", s.stream_tokens_per_s},
          {"first_token_p50_ms", s.first_token_p50_s * 1e3},
          {"first_token_worst_ms", s.first_token_worst_s * 1e3},
          {"between_tokens_p50_ms", s.between_tokens_p50_s * 1e3},
          {"between_tokens_p99_ms", s.between_tokens_p99_s * 1e3}};
}

/// What `concurrency` streams would take, going by `before`: never more than in proportion.
double expected_seconds(const Speed& before, std::int32_t streams_before, std::int32_t streams) {
  return before.seconds * std::max(1.0, static_cast<double>(streams) / streams_before);
}

struct Measured {
  SpeedLoad load;
  Speed speed;
};

std::string heading(const Weights& weights, const engine::ChatModel& model, const engine::Engine& engine) {
  std::string out = styled(STDOUT_FILENO, Style::bold, model.name());
  if (weights.stand_in) out += " ~";
  if (!weights.id.empty()) out += " (" + weights.id + ")";
  return out + " on " + std::string(engine.device_name()) + ", glia " + kVersion + "\n";
}

std::string table_of(const std::vector<Measured>& rows) {
  Table table({"STREAMS", "PROMPT TOK/S", "ANSWER TOK/S", "ONE STREAM TOK/S", "FIRST TOKEN", "BETWEEN TOKENS", "P99"},
              {0, 1, 2, 3, 4, 5, 6});
  for (const auto& [load, s] : rows) {
    const auto rate = [](double r) { return r >= 100 ? human_count(static_cast<std::int64_t>(r + 0.5)) : fixed(r, 1); };
    table.add({std::to_string(load.concurrency), rate(s.prompt_tokens_per_s), rate(s.answer_tokens_per_s),
               load.answer > 1 ? rate(s.stream_tokens_per_s) : "", milliseconds(s.first_token_p50_s),
               load.answer > 1 ? milliseconds(s.between_tokens_p50_s) : "",
               load.answer > 1 ? milliseconds(s.between_tokens_p99_s) : ""});
  }
  return table.text();
}

}  // namespace

int bench(const Settings& settings, const BenchOptions& options) {
  const Signals signals;
  log::configure(log::Level::warn, settings.log_json);
  const auto weights = weights_named(settings, options.model);
  const SystemClock clock;
  const auto engine = engine::make_engine(engine_options(settings), clock);
  const ProgressBar bar;
  const auto model = engine->acquire(weights.path);
  std::vector<Measured> rows;
  std::vector<std::int32_t> left_out;
  try {
    measured(*model, {.concurrency = 1, .prompt = options.prompt, .answer = 1}, signals, bar);  // touches every page
    const auto begun = clock.steady_ns();
    for (const auto streams : options.concurrency) {
      const double spent = static_cast<double>(clock.steady_ns() - begun) * 1e-9;
      if (!rows.empty() &&
          spent + expected_seconds(rows.back().speed, rows.back().load.concurrency, streams) > options.seconds) {
        left_out.push_back(streams);
        continue;
      }
      const SpeedLoad load{.concurrency = streams,
                           .prompt = options.prompt,
                           .answer = options.answer,
                           .seed = static_cast<std::uint32_t>(streams + 1)};
      rows.push_back({load, measured(*model, load, signals, bar)});
    }
  } catch (const Error& e) {
    if (e.code() == ErrorCode::aborted) return 130;
    throw;
  }
  if (options.as_json) {
    json::array all;
    for (const auto& [load, speed] : rows) all.push_back(as_object(load, speed));
    std::cout << json::serialize(json::object{{"glia", kVersion},
                                              {"model", model->name()},
                                              {"device", engine->device_name()},
                                              {"prompt", options.prompt},
                                              {"answer", options.answer},
                                              {"rows", std::move(all)}})
              << "\n";
    return 0;
  }
  std::cout << heading(weights, *model, *engine) << "prompts of " << options.prompt << " tokens, answers of "
            << options.answer << "; the streams of a row arrive together\n\n"
            << table_of(rows);
  for (const auto streams : left_out) {
    std::cout << streams << " streams left out: not within " << options.seconds << " s (--seconds)\n";
  }
  if (weights.stand_in) std::cout << "\n~ a small model standing in for the id's own weights\n";
  return 0;
}

}  // namespace glia::cli
