#include "tasks/local_runner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tasks/admission.h"
#include "tasks/encoding_input.h"
#include "tasks/encoding_run.h"
#include "tasks/model_waiting.h"
#include "tasks/text_generation_input.h"
#include "tasks/text_generation_run.h"
#include "tasks/work_queue.h"

namespace glia::tasks {
namespace {

/// What a run takes beside its input: sequence, sampler, decoder, what dialect and connection keep for it.
constexpr std::size_t kRunBytes = 16 << 10;
/// A token of an answer, as the sequence keeps it and as text.
constexpr std::size_t kTokenBytes = 16;
/// Of a text's vector or score, beside the text: what engine and dialect keep of it.
constexpr std::size_t kTextBytes = 16 << 10;

Error busy() {
  Error error(ErrorCode::out_of_capacity);
  error.retry_after_s = 1;
  return error;
}

/// "2026-12-01", in UTC.
std::string day_of(const Clock& clock) {
  const std::chrono::sys_time<std::chrono::milliseconds> now{std::chrono::milliseconds(clock.unix_ms())};
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(now));
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(day.year()),
                static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()));
  return text.data();
}

/// The run that a caller holds; the work itself lives as long as somebody works on it.
class Handle final : public Run {
 public:
  explicit Handle(std::weak_ptr<Run> run) : run_(std::move(run)) {}
  void cancel() override {
    if (const auto run = run_.lock()) run->cancel();
  }

 private:
  std::weak_ptr<Run> run_;
};

}  // namespace

bool is_retired(const catalog::ModelEntry& entry, const std::string& retired_by, const Clock& clock) {
  return entry.retired_on(retired_by == "now" ? day_of(clock) : retired_by);
}

struct LocalRunner::Impl {
  Impl(const catalog::Catalog& catalog_in, engine::Engine& engine_in, Meter& meter_in, const Clock& clock_in,
       const Weights& weights_in, LocalRunnerOptions options_in)
      : catalog(catalog_in),
        engine(engine_in),
        meter(meter_in),
        clock(clock_in),
        weights(weights_in),
        options(options_in),
        admission({options.max_running, options.max_queued, options.most_input_bytes}, clock),
        work(options.threads, options.most_waiting),
        waiting(engine, options.loads) {}

  const catalog::Catalog& catalog;
  engine::Engine& engine;
  Meter& meter;
  const Clock& clock;
  const Weights& weights;
  const LocalRunnerOptions options;

  std::mutex mutex;
  std::condition_variable ended;
  std::uint64_t next = 0;
  std::map<std::uint64_t, std::weak_ptr<LocalRun>> active;

  mutable Admission admission;
  WorkQueue work;
  ModelWaiting waiting;  // last: its threads end first, they hand over to `work`

  const catalog::ModelEntry& entry_of(const std::string& id) const;
  using MakeRun = std::function<std::shared_ptr<LocalRun>(std::shared_ptr<RunSink>, std::function<void()> on_end)>;

  /// What all tasks check. The inputs come back with their defaults and without what nobody reads.
  Job check(RunRequest& request) const;
  /// A place for a checked run whose input takes so many bytes.
  void admit(Job& job, bool reject_if_busy, std::size_t bytes) const;
  void refuse_if_busy(const ResolvedWeights& resolved) const;
  MakeRun text_generation(RunRequest request);
  MakeRun encoding(RunRequest request);
  std::shared_ptr<Run> start(RunRequest request, std::shared_ptr<RunSink> sink);
  void begin(const std::shared_ptr<LocalRun>& run);
  void forget(std::uint64_t key);
};

const catalog::ModelEntry& LocalRunner::Impl::entry_of(const std::string& id) const {
  const auto* const entry = catalog.find(id);
  if (entry == nullptr) throw Error(ErrorCode::no_such_model, id.substr(0, 128));
  if (is_retired(*entry, options.retired_by, clock))
    throw Error(ErrorCode::model_deprecated, entry->id + " was retired on " + entry->deprecated);
  if (!entry->served()) {
    throw Error(ErrorCode::not_served, entry->id + ": the task " + entry->kind + " is not built in this version");
  }
  return *entry;
}

Job LocalRunner::Impl::check(RunRequest& request) const {
  Job job;
  job.entry = &entry_of(request.model);
  std::vector<std::string> unused;
  if (const auto violation = catalog.validate(*job.entry, request.inputs, unused)) {
    throw Error(ErrorCode::invalid_input, catalog::describe(*violation));
  }
  if (request.inputs.contains("requests")) throw Error(ErrorCode::not_served, "batch requests (requests)");
  for (const auto& name : unused) request.inputs.erase(name);
  job.weights = weights.resolve(*job.entry);
  job.info.model = job.entry->id;
  job.info.weights = job.weights.name;
  job.info.stand_in = job.weights.stand_in;
  for (const auto& name : unused) {
    job.info.messages.push_back(catalog.knows(*job.entry, name) ? name + ": not served by this version of Glia, ignored"
                                                                : name.substr(0, 128) + ": unknown parameter, ignored");
  }
  if (!job.entry->deprecated.empty()) {
    job.info.messages.push_back(job.entry->id + ": the service retires this id on " + job.entry->deprecated);
  }
  job.bill = {std::move(request.request_id),
              std::move(request.account),
              job.entry->id,
              job.entry->task,
              job.weights.stand_in,
              request.plan};
  return job;
}

void LocalRunner::Impl::admit(Job& job, bool reject_if_busy, std::size_t bytes) const {
  if (!job.weights.available) throw Error(ErrorCode::model_unavailable, job.weights.advice);
  if (reject_if_busy) refuse_if_busy(job.weights);
  job.place = admission.enter(job.weights.path, bytes + kRunBytes);
}

void LocalRunner::Impl::refuse_if_busy(const ResolvedWeights& resolved) const {
  if (work.waiting() > 0) throw busy();
  for (const auto& model : engine.status()) {
    if (model.path == resolved.path && (model.queued > 0 || model.running >= options.max_running)) throw busy();
  }
}

LocalRunner::Impl::MakeRun LocalRunner::Impl::text_generation(RunRequest request) {
  const auto* const max_tokens = request.inputs.if_contains("max_tokens");
  const bool max_tokens_given = max_tokens != nullptr && !max_tokens->is_null();
  Job job = check(request);
  TextGenerationInput input = read_text_generation(std::move(request.inputs), max_tokens_given);
  const auto answer = static_cast<std::size_t>(std::clamp<std::int64_t>(input.max_tokens, 0, 1 << 20));
  admit(job, request.reject_if_busy, bytes_of(input.messages) + input.raw_prompt.size() + answer * kTokenBytes);
  const auto prefix_cache = !request.prefix_cache     ? engine::PrefixCache::off
                            : request.session_returns ? engine::PrefixCache::keep
                                                      : engine::PrefixCache::on;
  return [this, job = std::move(job), input = std::move(input), prefix_cache](
             std::shared_ptr<RunSink> sink, std::function<void()> on_end) mutable -> std::shared_ptr<LocalRun> {
    return std::make_shared<TextGenerationRun>(std::move(job), std::move(input), prefix_cache, meter, clock,
                                               std::move(sink), std::move(on_end));
  };
}

LocalRunner::Impl::MakeRun LocalRunner::Impl::encoding(RunRequest request) {
  Job job = check(request);
  EncodingInput input = read_encoding(std::move(request.inputs), *job.entry);
  std::size_t bytes = input.query.size();
  for (const std::string& text : input.texts) bytes += text.size() + kTextBytes;
  admit(job, request.reject_if_busy, bytes);
  return [this, job = std::move(job), input = std::move(input)](
             std::shared_ptr<RunSink> sink, std::function<void()> on_end) mutable -> std::shared_ptr<LocalRun> {
    return std::make_shared<EncodingRun>(std::move(job), std::move(input), work, meter, clock, std::move(sink),
                                         std::move(on_end));
  };
}

std::shared_ptr<Run> LocalRunner::Impl::start(RunRequest request, std::shared_ptr<RunSink> sink) {
  const bool encodes = kind_of(entry_of(request.model)) == ModelKind::encoder;
  MakeRun make = encodes ? encoding(std::move(request)) : text_generation(std::move(request));
  std::uint64_t key = 0;
  {
    const std::lock_guard lock(mutex);
    key = next++;
    active.emplace(key, std::weak_ptr<LocalRun>());
  }
  const auto run = make(std::move(sink), [this, key] { forget(key); });
  {
    const std::lock_guard lock(mutex);
    active[key] = run;
  }
  if (!work.post([this, run] { begin(run); })) {
    forget(key);
    throw busy();
  }
  return std::make_shared<Handle>(run);
}

// On a work thread. What is in memory goes on at once; what is not waits elsewhere and comes back.
void LocalRunner::Impl::begin(const std::shared_ptr<LocalRun>& run) {
  if (const LoadedModel model = find(engine, run->kind(), run->weights()); holds(model)) return run->prepare(model);
  waiting.wait_for(run->kind(), run->weights(), [this, run](const LoadedModel& model, const Error* error) {
    if (error != nullptr) return run->refuse(*error);
    if (!work.post([run, model] { run->prepare(model); })) run->prepare(model);
  });
}

void LocalRunner::Impl::forget(std::uint64_t key) {
  const std::lock_guard lock(mutex);
  active.erase(key);
  ended.notify_all();  // under the lock: the destructor may take this object away right after
}

LocalRunner::LocalRunner(const catalog::Catalog& catalog, engine::Engine& engine, Meter& meter, const Clock& clock,
                         const Weights& weights, LocalRunnerOptions options)
    : impl_(std::make_unique<Impl>(catalog, engine, meter, clock, weights, options)) {}

LocalRunner::~LocalRunner() {
  std::vector<std::shared_ptr<LocalRun>> running;
  {
    const std::lock_guard lock(impl_->mutex);
    for (const auto& [key, weak] : impl_->active) {
      if (auto run = weak.lock()) running.push_back(std::move(run));
    }
  }
  for (const auto& run : running) run->cancel();
  running.clear();
  std::unique_lock lock(impl_->mutex);
  impl_->ended.wait(lock, [this] { return impl_->active.empty(); });
}

std::shared_ptr<Run> LocalRunner::run(RunRequest request, std::shared_ptr<RunSink> sink) {
  return impl_->start(std::move(request), std::move(sink));
}

}  // namespace glia::tasks
