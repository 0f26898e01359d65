// The engine's whole face: load models, run generations. Callers see models, requests and text, never tensors.
//
// One scheduler thread drives the device: every step it forms one batch of decode rows and prefill rows of all running
// generations (continuous batching) over paged KV memory.
// Determinism: a generation's tokens depend on its own request alone (seed included), never on what else runs.
// Thread rule: every method may be called from any thread. Sinks are called on the scheduler thread, must not block and
// must not call back into the engine except Generation::cancel().
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "kernels/device.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace glia::engine {

/// Neutral values switch a step off. Order: penalties, temperature, top_k, top_p, min_p, draw.
struct Sampling {
  float temperature = 0.6F;  ///< 0 is greedy
  std::int32_t top_k = 0;    ///< 0: off
  float top_p = 1.0F;
  float min_p = 0.0F;
  float repetition_penalty = 1.0F;  ///< over prompt and answer, as transformers
  float frequency_penalty = 0.0F;   ///< over the answer, as OpenAI
  float presence_penalty = 0.0F;
  std::optional<std::uint64_t> seed = {};  ///< none: a fresh one each time
};

/// Off: nothing is found and nothing is left. Keep: the session says that it will be back, so what was computed for it
/// is kept longer than other prefixes.
enum class PrefixCache { off, on, keep };

struct GenerateRequest {
  std::vector<std::int32_t> prompt;  ///< token ids, at least one
  std::int32_t max_tokens = 256;
  std::vector<std::string> stop;   ///< the answer ends before the first of these; UTF-8, none empty
  bool ignore_end_tokens = false;  ///< for benches
  Sampling sampling;
  std::string account;  ///< fairness and cache key
  PrefixCache prefix_cache = PrefixCache::on;
};

enum class FinishReason { stop, length, cancelled };
std::string_view finish_reason_name(FinishReason reason);  ///< "stop", "length", "cancelled"

struct Usage {
  std::int32_t prompt_tokens = 0;      ///< after a cancellation: those that went through the model
  std::int32_t completion_tokens = 0;  ///< sampled tokens, the end token included
  std::int32_t cached_tokens = 0;      ///< of the prompt tokens, those that the prefix cache had
};

struct Timing {
  std::int64_t queued_ns = 0;       ///< submit to first scheduled step
  std::int64_t first_token_ns = 0;  ///< submit to first sampled token
  std::int64_t total_ns = 0;
};

struct GenerateResult {
  FinishReason reason = FinishReason::stop;
  Usage usage;
  Timing timing;
};

/// Receives one generation. Exactly one of done() and failed() is called, last; by then the engine holds neither KV
/// pages nor the model for it. An exception that leaves text() fails this generation alone.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  /// Whole characters only; stop strings are never part of it. `tokens`: ids sampled since the last call. Over a whole
  /// generation they are the sampled tokens, end token included (a cancelled one keeps its last ones to itself).
  /// `piece` may be empty in the last call.
  virtual void text(std::string_view piece, std::span<const std::int32_t> tokens) = 0;
  virtual void done(const GenerateResult& result) = 0;
  virtual void failed(const Error& error) = 0;
};

/// A running generation or encoding. cancel() takes effect within one step; the sink then gets done(cancelled).
/// Dropping the handle does not cancel.
class Generation {
 public:
  virtual ~Generation() = default;
  virtual void cancel() = 0;
};

/// A model in memory with its tokenizer and chat template. Stays usable while anybody holds it.
class ChatModel {
 public:
  virtual ~ChatModel() = default;
  virtual const std::string& name() const = 0;  ///< e.g. "SmolLM2-135M-Instruct"
  virtual std::int32_t context() const = 0;     ///< positions, prompt and answer together, as far as KV memory goes
  virtual std::size_t bytes() const = 0;        ///< weights and KV pages
  virtual const text::Tokenizer& tokenizer() const = 0;
  /// Null when the weights carry none.
  virtual const text::ChatTemplate* chat_template() const = 0;
  /// Errors, thrown before anything runs: context_too_long with the numbers, invalid_input for an empty prompt, a
  /// foreign token id, max_tokens below 1, an unusable stop string or a sampling parameter out of range,
  /// out_of_capacity (with retry_after_s) when the queue is full, aborted when the engine is gone.
  /// Errors that reach failed(): aborted when the engine goes away, internal when the model breaks.
  virtual std::shared_ptr<Generation> generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) = 0;
};

class TextEncoder;  // text_encoder.h

inline constexpr std::int64_t kForever = -1;

struct EngineOptions {
  std::int32_t threads = 0;  ///< 0: every core
  kernels::MathMode math = kernels::MathMode::fast;
  kernels::KvType kv_type = kernels::kDefaultKvType;               ///< of keys and values, in fast mode
  kernels::Activations activations = kernels::Activations::int16;  ///< of products, in fast mode
  /// Bytes for all models: weights, KV pages, tokenizers, scratch, and what loading needs; 0: 3/4 of what the machine
  /// has. Never exceeded.
  std::size_t memory_budget = 0;
  std::size_t kv_bytes = std::size_t{256} << 20;  ///< most KV memory per model; less where the budget leaves less
  /// How long a load waits until enough of the models that fill the budget are idle.
  std::int64_t memory_wait_ms = 5000;
  /// An idle model is dropped after so long; 0: at once; kForever: only when another needs its memory.
  std::int64_t keep_alive_ms = std::int64_t{30} * 60 * 1000;
  std::int32_t page_tokens = 32;
  std::int32_t max_batch_rows = 512;  ///< rows of one step; long prompts are split
  std::int32_t max_running = 64;      ///< generations in the batch
  std::int32_t max_queued = 512;
  bool prefix_cache = true;  ///< prompts that begin as an earlier one of the account did are not computed again
  bool speculation = true;   ///< answers that repeat what was said are guessed and checked, several tokens a step
  /// Folder where packed weights are kept, so that a second start maps them (packed_cache.h); empty: they are not.
  std::filesystem::path packed_cache = {};
};

/// Counts per bucket; bucket i holds values <= bounds[i] and above the one before, the last bucket everything above.
struct Histogram {
  std::vector<double> bounds;         ///< ascending
  std::vector<std::uint64_t> counts;  ///< [bounds.size() + 1], not cumulative
  double sum = 0;
  std::uint64_t count = 0;
};

/// What a model did since it was loaded.
struct ModelFigures {
  std::uint64_t stopped = 0;  ///< generations, and an encoder's requests, by how they ended
  std::uint64_t out_of_tokens = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t failed = 0;
  std::uint64_t refused = 0;      ///< turned away by a full queue
  std::uint64_t prefix_hits = 0;  ///< prompts that found a beginning of theirs in the prefix cache
  Histogram queued_ms;            ///< submit to first scheduled step
  Histogram first_token_ms;       ///< submit to first sampled token
  Histogram tokens_per_s;         ///< of one generation after its first token
  Histogram step_ms;
  Histogram batch_rows;  ///< rows of a step
};

/// What became of a file's loads since the engine was made.
struct LoadFigures {
  std::uint64_t loads = 0;
  std::uint64_t failed = 0;
  std::uint64_t evicted = 0;   ///< dropped because another model needed the memory
  std::uint64_t expired = 0;   ///< dropped after its keep-alive
  std::uint64_t stopped = 0;   ///< dropped by stop()
  std::uint64_t replaced = 0;  ///< dropped because the file changed
  Histogram load_ms;           ///< of loads that went well
};

struct ModelStatus {
  std::string name;
  std::filesystem::path path;
  std::size_t bytes = 0;          ///< charged to the budget: the three that follow
  std::size_t weight_bytes = 0;   ///< packed
  std::size_t kv_bytes = 0;       ///< KV pages
  std::size_t scratch_bytes = 0;  ///< tokenizer, activations, logits: at most
  bool in_memory = true;
  bool loading = false;                      ///< on its way: nothing but name, path and bytes is known
  bool stopping = false;                     ///< dropped as soon as it is idle, unless it is asked for again
  std::int64_t load_ms = 0;                  ///< that its load took
  std::int64_t keep_alive_ms = 0;            ///< kForever: for good
  std::optional<std::int64_t> idle_ms = {};  ///< none: it is held or runs
  std::int32_t running = 0;
  std::int32_t queued = 0;
  std::int32_t kv_pages_used = 0;    ///< by what runs
  std::int32_t kv_pages_cached = 0;  ///< kept for prompts that begin alike; free for whoever needs them
  std::int32_t kv_pages = 0;
  std::int64_t generated_tokens = 0;
  std::int64_t prompt_tokens = 0;      ///< that went through the model
  std::int64_t cached_tokens = 0;      ///< of prompts, that did not need to
  std::int64_t drafted_tokens = 0;     ///< guessed and put to the model
  std::int64_t accepted_tokens = 0;    ///< of these, what it says itself
  std::int64_t set_back = 0;           ///< times that a generation made room for others and waited
  std::int64_t recomputed_tokens = 0;  ///< because of that
  std::int64_t steps = 0;
  double tokens_per_s = 0;  ///< sampled, or of an encoder read, by all together, over the last seconds of work
  ModelFigures figures;
  LoadFigures loads;
};

struct EngineFigures {
  std::size_t memory_budget = 0;
  std::size_t memory_used = 0;  ///< promised to models
  /// Every file that was ever loaded, or failed to. What counts goes on counting over its loads.
  std::vector<ModelStatus> models;
};

struct AcquireOptions {
  std::optional<std::int64_t> keep_alive_ms = {};  ///< as long as it stays in memory; none: as it was
};

enum class Stopped {
  now,        ///< it was idle and is gone
  when_idle,  ///< it goes when what runs has ended; asked for again before that, it stays
  not_loaded,
};

class Engine {
 public:
  virtual ~Engine() = default;
  /// The model at `path` (a .gguf file or a Hugging Face folder), loaded on first use and shared afterwards; loads of
  /// one path run once, others wait. Before anything is loaded its memory is estimated and reserved. Where the budget
  /// has no room, idle models (nobody holds them, nothing runs) are dropped, least recently used first; where busy ones
  /// fill it, the load waits for memory_wait_ms. A file that was replaced on disk is loaded again. After a failed load
  /// the same error comes back at once, with retry_after_s, until the back-off is over or the file changes.
  /// Blocks. Errors: model_unavailable (missing or unusable), out_of_capacity (does not fit, with the numbers; with
  /// retry_after_s where it would without the busy ones).
  /// A model that only encodes texts is model_unavailable here.
  virtual std::shared_ptr<ChatModel> acquire(const std::filesystem::path& path, const AcquireOptions& options = {}) = 0;
  /// The same where it is in memory already; null otherwise. Does not block.
  virtual std::shared_ptr<ChatModel> find(const std::filesystem::path& path) = 0;
  /// Both for a model that encodes texts (a Hugging Face folder of an encoder, or any with sentence-transformers'
  /// modules.json); it shares budget, keep-alive and figures with the others. A model that only generates is
  /// model_unavailable here.
  virtual std::shared_ptr<TextEncoder> acquire_encoder(const std::filesystem::path& path,
                                                       const AcquireOptions& options = {}) = 0;
  virtual std::shared_ptr<TextEncoder> find_encoder(const std::filesystem::path& path) = 0;
  virtual Stopped stop(const std::filesystem::path& path) = 0;
  /// The models in memory and those being loaded.
  virtual std::vector<ModelStatus> status() const = 0;
  virtual EngineFigures figures() const = 0;
  virtual std::string_view device_name() const = 0;
};

/// Destroying the engine fails what runs and waits with `aborted` and joins its thread; models that are still held keep
/// their tokenizer and refuse to generate. `clock` must outlive engine and models.
/// Errors: invalid_input for options out of range or an instruction set that this CPU lacks.
std::unique_ptr<Engine> make_engine(const EngineOptions& options, const Clock& clock);

}  // namespace glia::engine
