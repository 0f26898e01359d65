// What every dialect, the gateway and the queue call: one catalogue id, JSON inputs, typed events out.
// Thread rule: run() from any thread; sink methods are called from engine or worker threads and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace glia::tasks {

struct RunRequest {
  std::string request_id;       ///< unique; the ledger's key
  std::string account;
  std::string model;            ///< catalogue id or alias as the client wrote it
  json::object inputs;          ///< the task's input as documented by the service
  bool reject_if_busy = false;  ///< 3040 instead of waiting in the queue
};

struct TokenUsage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
};

/// What is known once the model was resolved, before the first piece.
struct RunInfo {
  std::string model;            ///< canonical catalogue id
  std::string weights;          ///< what really answers, e.g. "SmolLM2-135M-Instruct"
  bool stand_in = false;        ///< weights are not the id's own
  std::vector<std::string> messages;  ///< notes for the client, e.g. unknown parameters by name
};

struct TextResult {
  std::string text;
  std::string finish_reason;    ///< "stop", "length"
  TokenUsage usage;
  double neurons = 0;
  double first_token_ms = 0;
  double total_ms = 0;
};

/// Receives one run: started, then text pieces, then exactly one of finished and failed. finished() comes after the
/// charge is durable, so a dialect may end its answer at once.
class RunSink {
 public:
  virtual ~RunSink() = default;
  virtual void started(const RunInfo& info) = 0;
  virtual void text(std::string_view piece) = 0;
  virtual void finished(const TextResult& result) = 0;
  virtual void failed(const Error& error) = 0;
};

class Run {
 public:
  virtual ~Run() = default;
  /// The client went away: the engine stops within one step; what was used is still charged.
  virtual void cancel() = 0;
};

/// Meters a run. The ledger implements it; the default does nothing.
class Meter {
 public:
  virtual ~Meter() = default;
  /// Before anything runs. Throws glia::Error(quota_exceeded) when the plan refuses.
  virtual void reserve(const RunRequest& request, std::string_view model, double estimated_neurons) = 0;
  /// Afterwards, exactly once per reserve; calls `durable` when the row is on disk.
  virtual void settle(const RunRequest& request, std::string_view model, const TokenUsage& usage, double neurons,
                      std::function<void()> durable) = 0;
};

class Runner {
 public:
  virtual ~Runner() = default;
  /// Validates against the catalogue's schema, then starts. Errors of the input are thrown (no_such_model,
  /// invalid_input with the path of what is wrong, context_too_long, quota_exceeded, …) before started() is called;
  /// later ones reach failed().
  virtual std::shared_ptr<Run> run(RunRequest request, std::shared_ptr<RunSink> sink) = 0;
};

}  // namespace glia::tasks
