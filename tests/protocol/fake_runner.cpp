#include "fake_runner.h"

#include <algorithm>
#include <condition_variable>
#include <sstream>

#include "tasks/encoding_input.h"

namespace glia::protocol {
namespace {

constexpr std::string_view kWeights = "Fake-Weights";

Error error_named(const std::string& name) {
  for (int i = 0;; i++) {
    const auto code = static_cast<ErrorCode>(i);
    if (error_name(code) == name) return Error(code);
    if (code == ErrorCode::model_unavailable) return Error(ErrorCode::internal, "no error is called " + name);
  }
}

std::string last_text(const json::object& inputs) {
  if (const auto* prompt = inputs.if_contains("prompt")) return std::string(prompt->as_string());
  const auto& message = inputs.at("messages").as_array().back().as_object();
  const auto& content = message.at("content");
  if (content.is_string()) return std::string(content.get_string());
  return std::string(content.as_array().back().at("text").as_string());
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

class FakeRun final : public tasks::Run {
 public:
  void cancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  /// Waits for cancel(); ten seconds at most, so that a test ends.
  bool wait_for_cancel() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return cancelled_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool cancelled_ = false;
};

struct Script {
  std::vector<std::string> words;
  std::string command, argument;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t max_tokens = 0;
  double neurons_in = 0, neurons_out = 0;
};

tasks::TextResult result_of(const Script& script, std::int64_t spoken, const std::string& text, bool cut) {
  tasks::TextResult result;
  result.text = text;
  result.finish_reason = cut ? "length" : "stop";
  result.usage.prompt_tokens = script.prompt_tokens;
  result.usage.completion_tokens = spoken;
  result.usage.cached_tokens = script.cached_tokens;
  result.neurons = (static_cast<double>(script.prompt_tokens) * script.neurons_in +
                    static_cast<double>(spoken) * script.neurons_out) /
                   1e6;
  result.first_token_ms = 1;
  result.total_ms = 2;
  return result;
}

/// True when the run was cancelled.
bool perform(const Script& script, const tasks::RunInfo& info, tasks::RunSink& sink, FakeRun& run) {
  if (script.command == "late") {
    sink.failed(error_named(script.argument));
    return false;
  }
  sink.started(info);
  std::string text;
  std::int64_t spoken = 0;
  const std::int64_t most = script.command == "break" ? 2 : script.command == "hang" ? 1 : script.max_tokens;
  for (const auto& word : script.words) {
    if (spoken == most) break;
    const std::string piece = (spoken == 0 ? "" : " ") + word;
    text += piece;
    spoken++;
    sink.text(piece);
  }
  if (script.command == "break") {
    sink.failed(error_named(script.argument));
    return false;
  }
  if (script.command == "hang") {
    const bool cancelled = run.wait_for_cancel();
    sink.cancelled(result_of(script, spoken, text, false));
    return cancelled;
  }
  sink.finished(result_of(script, spoken, text, spoken < static_cast<std::int64_t>(script.words.size())));
  return false;
}

Script script_of(const json::object& inputs, const catalog::ModelEntry& entry) {
  Script script;
  const auto words = words_of(last_text(inputs));
  script.prompt_tokens = static_cast<std::int64_t>(words.size());
  script.max_tokens = inputs.at("max_tokens").to_number<std::int64_t>();
  if (entry.price) {
    script.neurons_in = entry.price->input;
    script.neurons_out = entry.price->output;
  }
  if (words.empty()) return script;
  script.command = words[0];
  script.argument = words.size() > 1 ? words[1] : "";
  if (script.command == "echo") {
    script.words.assign(words.begin() + 1, words.end());
  } else if (script.command == "break" || script.command == "hang") {
    script.words = {"one", "two", "three"};
  } else {
    script.words = {"ok"};
  }
  return script;
}

/// What it makes of texts: a vector is its words, its bytes and -0.5; a context's score the share of the query's words
/// that it holds; of labels the first is right by a quarter.
tasks::EncodingResult encode(const tasks::EncodingInput& input, const catalog::ModelEntry& entry) {
  tasks::EncodingResult result;
  result.usage.prompt_tokens = std::ssize(words_of(input.query));
  tasks::Embeddings vectors;
  vectors.width = 3;
  vectors.of_contexts = input.of_contexts;
  if (input.names_pooling) vectors.pooling = input.pooling == engine::Pooling::mean ? "mean" : "cls";
  std::vector<tasks::ContextScore> scores;
  for (const std::string& text : input.texts) {
    const auto words = words_of(text);
    result.usage.prompt_tokens += std::ssize(words);
    vectors.values.insert(vectors.values.end(),
                          {static_cast<float>(words.size()), static_cast<float>(text.size()), -0.5F});
    const auto asked = words_of(input.query);
    const auto found = std::count_if(asked.begin(), asked.end(), [&](const std::string& word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    });
    scores.push_back({scores.size(), static_cast<double>(found) / std::max(1.0, static_cast<double>(asked.size()))});
  }
  std::stable_sort(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  if (input.top_k && *input.top_k < scores.size()) scores.resize(*input.top_k);
  if (input.task == tasks::EncodingTask::embeddings) {
    result.answer = std::move(vectors);
  } else if (input.task == tasks::EncodingTask::classification) {
    result.answer = std::vector<tasks::LabelScore>{{"NEGATIVE", 0.25}, {"POSITIVE", 0.75}};
  } else {
    result.answer = std::move(scores);
  }
  if (entry.price) result.neurons = entry.price->neurons(result.usage.prompt_tokens, 0);
  result.total_ms = 2;
  return result;
}

}  // namespace

FakeRunner::~FakeRunner() {
  for (auto& thread : threads_) thread.join();
}

std::int64_t FakeRunner::take_cached(const std::string& account, const Words& words) {
  const std::lock_guard lock(mutex_);
  std::int64_t most = 0;
  for (const Words& earlier : cached_[account]) {
    const auto differs = std::mismatch(words.begin(), words.end(), earlier.begin(), earlier.end()).first;
    most = std::max<std::int64_t>(most, differs - words.begin());
  }
  cached_[account].push_back(words);
  return std::min(most, std::max<std::int64_t>(std::ssize(words) - 1, 0));
}

std::shared_ptr<tasks::Run> FakeRunner::run(tasks::RunRequest request, std::shared_ptr<tasks::RunSink> sink) {
  const auto* entry = catalog_.find(request.model);
  if (entry == nullptr) throw Error(ErrorCode::no_such_model, request.model);
  if (!entry->served()) throw Error(ErrorCode::not_served, entry->task + " with " + entry->id);
  std::vector<std::string> unknown;
  if (const auto problem = catalog_.validate(*entry, request.inputs, unknown)) {
    throw Error(ErrorCode::invalid_input,
                problem->path.empty() ? problem->message : problem->path + ": " + problem->message);
  }
  tasks::RunInfo info{entry->id, std::string(kWeights), true, {}};
  for (const auto& name : unknown) info.messages.push_back("unknown parameter: " + name);
  if (entry->task != "Text Generation") {
    for (const auto& name : unknown) request.inputs.erase(name);
    const tasks::EncodingInput input = tasks::read_encoding(std::move(request.inputs), *entry);
    const auto words = words_of(input.texts.at(0));
    if (words.size() > 1 && words[0] == "fail") throw error_named(words[1]);
    const auto run = std::make_shared<FakeRun>();
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([input, entry, info, sink = std::move(sink)]() mutable {
      sink->started(info);
      sink->encoded(encode(input, *entry));
      sink.reset();
    });
    return run;
  }
  Script script = script_of(request.inputs, *entry);
  if (script.command == "fail") throw error_named(script.argument);
  if (script.command == "busy" && request.reject_if_busy) throw Error(ErrorCode::out_of_capacity);
  if (request.session_returns) script.cached_tokens = take_cached(request.account, words_of(last_text(request.inputs)));
  const auto run = std::make_shared<FakeRun>();
  const std::lock_guard lock(mutex_);
  threads_.emplace_back([this, script, info, sink = std::move(sink), run]() mutable {
    if (perform(script, info, *sink, *run)) cancelled_++;
    sink.reset();
  });
  return run;
}

}  // namespace glia::protocol
