#include <unistd.h>

#include <array>
#include <condition_variable>
#include <iostream>
#include <iterator>
#include <mutex>
#include <random>
#include <stdexcept>

#include "api/encoding_format.h"
#include "base/log.h"
#include "base/utf8.h"
#include "commands.h"
#include "house.h"
#include "model_named.h"
#include "signals.h"
#include "tasks/loaded_model.h"
#include "terminal.h"

namespace glia::cli {
namespace {

/// Prints pieces as they come and remembers how it ended.
class PrintingSink final : public tasks::RunSink {
 public:
  void started(const tasks::RunInfo& info) override {
    const std::lock_guard lock(mutex_);
    info_ = info;
  }
  void text(std::string_view piece) override {
    std::cout << piece << std::flush;
    const std::lock_guard lock(mutex_);
    if (!piece.empty()) ends_with_newline_ = piece.back() == '\n';
  }
  void finished(const tasks::TextResult& result) override { over(result, false, {}); }
  void encoded(const tasks::EncodingResult& result) override {
    std::cout << api::native_encoding(info_, result, false) << std::flush;
    over(result, false, {});
  }
  void cancelled(const tasks::RunResult& result) override { over(result, true, {}); }
  void failed(const Error& error) override { over({}, false, error); }

  /// Whether it is over; waits up to 50 ms for it.
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return over_; });
  }
  // After wait() said so:
  const tasks::RunResult& result() const { return result_; }
  const tasks::RunInfo& info() const { return info_; }
  const std::optional<Error>& error() const { return error_; }
  bool was_cancelled() const { return cancelled_; }
  bool ends_with_newline() const { return ends_with_newline_; }

 private:
  void over(const tasks::RunResult& result, bool cancelled, std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    result_ = result;
    cancelled_ = cancelled;
    error_ = std::move(error);
    over_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool cancelled_ = false;
  bool ends_with_newline_ = false;
  tasks::RunResult result_;
  tasks::RunInfo info_;
  std::optional<Error> error_;
};

std::string random_id() {
  std::random_device device;
  std::array<char, 33> hex{};
  std::snprintf(hex.data(), hex.size(), "%08x%08x%08x%08x", device(), device(), device(), device());
  return hex.data();
}

/// Of a model that reads texts: the text. Those that want more than one are for the API.
json::object text_inputs(const RunOptions& options, const catalog::ModelEntry& entry, const std::string& text) {
  if (!options.system.empty() || options.max_tokens || options.temperature || options.seed) {
    throw UsageError(entry.id + " writes no text (" + entry.task + "): it takes the text alone");
  }
  return {{"text", text}};
}

json::object inputs_of(const RunOptions& options, const catalog::ModelEntry& entry) {
  std::string prompt = options.prompt;
  if (prompt == "-") prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  for (const std::string& text : {prompt, options.system}) {
    if (first_invalid_utf8(text) != std::string_view::npos) throw UsageError("the prompt is not valid UTF-8");
  }
  if (tasks::kind_of(entry) == tasks::ModelKind::encoder) return text_inputs(options, entry, prompt);
  json::array messages;
  if (!options.system.empty()) messages.push_back({{"role", "system"}, {"content", options.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  json::object inputs{{"messages", messages}};
  if (options.max_tokens) inputs["max_tokens"] = *options.max_tokens;
  if (options.temperature) inputs["temperature"] = *options.temperature;
  if (options.seed) inputs["seed"] = *options.seed;
  return inputs;
}

void print_figures(const PrintingSink& sink) {
  const auto& r = sink.result();
  std::string line;
  if (r.usage.completion_tokens > 0) {
    const double decode_s = (r.total_ms - r.first_token_ms) / 1e3;
    const auto more = static_cast<double>(r.usage.completion_tokens - 1);
    line = std::to_string(r.usage.completion_tokens) + " tokens";
    if (more > 0 && decode_s > 0) line += ", " + fixed(more / decode_s, 1) + " tok/s";
    line += ", first after " + fixed(r.first_token_ms, 0) + " ms";
  } else {
    line = std::to_string(r.usage.prompt_tokens) + " tokens read in " + fixed(r.total_ms, 0) + " ms";
  }
  line += ", " + fixed(r.neurons, 3) + " neurons, " + sink.info().weights;
  if (sink.info().stand_in) line += " standing in for " + sink.info().model;
  std::cerr << styled(STDERR_FILENO, Style::dim, line) << "\n";
}

}  // namespace

int run(const Settings& settings, const RunOptions& options) {
  const Signals signals;
  log::configure(log::Level::warn, settings.log_json);
  House house(settings);
  const json::object inputs = inputs_of(options, model_named(house.catalog, options.model));
  const auto sink = std::make_shared<PrintingSink>();
  const auto running =
      house.runner.run({.request_id = random_id(), .account = "local", .model = options.model, .inputs = inputs}, sink);
  bool interrupted = false;
  while (!sink->wait()) {
    if (!interrupted && signals.wait(0) != 0) {
      interrupted = true;
      running->cancel();
    }
  }
  if (sink->error()) throw *sink->error();
  if (!sink->ends_with_newline()) std::cout << std::endl;
  print_figures(*sink);
  return interrupted || sink->was_cancelled() ? 130 : 0;
}

}  // namespace glia::cli
