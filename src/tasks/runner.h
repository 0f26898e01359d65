// What every dialect, the gateway and the queue call: one catalogue id, JSON inputs, typed events out.
// Thread rule: run() from any thread; sink methods are called from engine or worker threads and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace glia::tasks {

/// Whether the day's free allocation is a limit: as the server is set, or as the client's session asks.
enum class Plan { server, paid, free };

struct RunRequest {
  std::string request_id;  ///< unique; the ledger's key
  std::string account;
  std::string model;            ///< catalogue id or alias as the client wrote it
  json::object inputs;          ///< the task's input as documented by the service
  bool reject_if_busy = false;  ///< 3040 instead of waiting in the queue
  Plan plan = Plan::server;
  bool rate_limits = false;  ///< held to the service's requests a minute (3021) where the server does not hold everyone
  bool session_returns = false;  ///< the client says so (x-session-affinity): what is computed for it is kept longer
  bool prefix_cache = true;      ///< false: equal requests have equal usage too, whatever was asked before
};

struct TokenUsage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
};

/// What is known once the model was resolved, before the first piece.
struct RunInfo {
  std::string model;                  ///< canonical catalogue id
  std::string weights;                ///< what really answers, e.g. "SmolLM2-135M-Instruct"
  bool stand_in = false;              ///< weights are not the id's own
  std::vector<std::string> messages;  ///< notes for the client, e.g. unknown parameters by name
};

/// What a run of any task took.
struct RunResult {
  TokenUsage usage;
  double neurons = 0;
  double first_token_ms = 0;  ///< from run() to the first sampled token; 0 when there was none
  double total_ms = 0;        ///< from run() to the end
};

struct TextResult : RunResult {
  std::string text;
  std::string finish_reason;  ///< "stop", "length"
};

/// Vectors of texts, in the input's order.
struct Embeddings {
  std::vector<float> values;  ///< [texts, width]
  std::size_t width = 0;
  std::string pooling = {};  ///< "mean", "cls"; empty: the answer of the id does not say
  bool of_contexts = false;  ///< bge-m3's contexts without a query, not `text`
};

/// How well a context answers the query, between 0 and 1; in an answer best first.
struct ContextScore {
  std::size_t context = 0;  ///< which of the input's, from 0
  double score = 0;
};

struct LabelScore {
  std::string label;
  double score = 0;
};

struct EncodingResult : RunResult {
  std::variant<Embeddings, std::vector<ContextScore>, std::vector<LabelScore>> answer;
};

/// Receives one run: started, then text pieces, then exactly one of finished (a text), encoded (what an encoder made of
/// texts), cancelled and failed. started() comes with the first token or with the answer, so what fails before it (a
/// prompt too long, a full queue, an exhausted plan) is failed() alone and a dialect can still answer with the error's
/// own status. finished() and encoded() come after the charge is durable, so a dialect may end its answer at once.
class RunSink {
 public:
  virtual ~RunSink() = default;
  virtual void started(const RunInfo& info) = 0;
  virtual void text(std::string_view piece) = 0;
  virtual void finished(const TextResult& result) = 0;
  virtual void encoded(const EncodingResult& result) = 0;
  virtual void failed(const Error& error) = 0;
  /// Run::cancel() took effect; what was used is charged, durably. With or without started() before it.
  virtual void cancelled(const RunResult& /*partial*/) { failed(Error(ErrorCode::aborted)); }
};

class Run {
 public:
  virtual ~Run() = default;
  /// The client went away: the engine stops within one step; what was used is still charged. Never blocks.
  virtual void cancel() = 0;
};

/// Who pays for a run, and for what.
struct Bill {
  std::string request_id;
  std::string account;
  std::string model;  ///< canonical catalogue id
  std::string task;   ///< "Text Generation"
  bool stand_in = false;
  Plan plan = Plan::server;
};

/// Meters a run. The application adapts the ledger to it. Thread rule: any thread, several at once; must not block on
/// the disk.
class Meter {
 public:
  /// Null: durable. Otherwise why the charge could not be written.
  using Settled = std::function<void(const Error* error)>;

  virtual ~Meter() = default;
  /// Before anything runs. Throws glia::Error(quota_exceeded) when the plan refuses.
  virtual void reserve(const Bill& bill, double estimated_neurons) = 0;
  /// Nothing was used. Once for a reserve that is not settled.
  virtual void release(const Bill& bill) = 0;
  /// Afterwards, exactly once for a reserve that is not released; calls `settled` once the charge is on disk or lost.
  virtual void settle(const Bill& bill, const TokenUsage& usage, double neurons, Settled settled) = 0;
};

/// Meters nothing.
class NoMeter final : public Meter {
 public:
  void reserve(const Bill&, double) override {}
  void release(const Bill&) override {}
  void settle(const Bill&, const TokenUsage&, double, Settled settled) override { settled(nullptr); }
};

class Runner {
 public:
  virtual ~Runner() = default;
  /// Validates against the catalogue's schema, then starts; never waits for a model, a tokenizer or the disk.
  /// Errors of the input are thrown (no_such_model, not_served, model_unavailable, invalid_input with the path of what
  /// is wrong, lora_unsupported, out_of_capacity); those that need the model (context_too_long, quota_exceeded, what
  /// the chat template refuses) and later ones reach failed().
  virtual std::shared_ptr<Run> run(RunRequest request, std::shared_ptr<RunSink> sink) = 0;
};

}  // namespace glia::tasks
