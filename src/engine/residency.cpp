#include "engine/residency.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "engine/figures.h"
#include "engine/model_memory.h"
#include "engine/served_encoder.h"
#include "engine/served_model.h"

namespace glia::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kLongestBackOffS = 60;
constexpr int kBusyRetryS = 5;
constexpr auto kWaitStep = std::chrono::milliseconds(10);     // between looks for a model that became idle
constexpr auto kKeeperStep = std::chrono::milliseconds(200);  // how late a keep-alive may end

EngineOptions checked(EngineOptions options) {
  const auto require = [](bool ok, std::string_view what) {
    if (!ok) throw Error(ErrorCode::invalid_input, what);
  };
  require(options.threads >= 0, "threads must be at least 0");
  require(options.page_tokens >= 1, "page_tokens must be at least 1");
  require(options.max_batch_rows >= 1, "max_batch_rows must be at least 1");
  require(options.max_running >= 1, "max_running must be at least 1");
  require(options.max_queued >= 0, "max_queued must be at least 0");
  require(options.max_running <= (1 << 20) && options.max_queued <= (1 << 20),
          "max_running or max_queued is too large");
  require(options.memory_wait_ms >= 0, "memory_wait_ms must be at least 0");
  require(options.keep_alive_ms >= kForever, "keep_alive_ms must be at least 0, or -1");
  if (options.memory_budget == 0) options.memory_budget = machine_memory_bytes() / 4 * 3;
  return options;
}

std::string mib(std::size_t bytes) { return std::to_string((bytes >> 20) + (bytes % (1U << 20U) != 0)) + " MiB"; }

Error too_large(std::size_t bytes, std::size_t limit, std::string_view about) {
  return Error(ErrorCode::out_of_capacity,
               "the model needs " + std::string(about) + mib(bytes) + " of memory, the budget is " + mib(limit));
}

std::filesystem::path key_of(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
  return (failed ? path : absolute).lexically_normal();
}

// What is loaded and parsed leaves holes in the heap; the system gets them back.
void forget(std::vector<std::shared_ptr<Resident>>& models) {
  if (models.empty()) return;
  models.clear();
  malloc_trim(0);
}

std::shared_ptr<Resident> serve(LoadedModel loaded, const std::filesystem::path& path, const EngineOptions& options,
                                const Clock& clock, const std::shared_ptr<StepThread>& thread) {
  if (loaded.encoder) return std::make_shared<ServedEncoder>(std::move(loaded), path, options, clock, thread);
  return std::make_shared<ServedModel>(std::move(loaded), path, options, clock, thread);
}

}  // namespace

Residency::Residency(const EngineOptions& options, const Clock& clock, std::unique_ptr<ModelLoader> loader)
    : options_(checked(options)),
      clock_(clock),
      loader_(std::move(loader)),
      budget_(MemoryBudget::create(options_.memory_budget)),
      thread_(std::make_shared<StepThread>()),
      keeper_([this] { keep(); }) {}

Residency::~Residency() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    keeper_woken_.notify_all();
  }
  keeper_.join();
  thread_->stop();
}

Residency::Entries::iterator Residency::lookup(const std::filesystem::path& key) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.path == key; });
}

void Residency::touch(Entry& entry, const AcquireOptions& options) {
  entry.last_use = ++uses_;
  entry.used_ns = clock_.steady_ns();
  entry.stopping = false;
  if (options.keep_alive_ms) entry.keep_alive_ms = *options.keep_alive_ms;
}

std::shared_ptr<ChatModel> Residency::acquire(const std::filesystem::path& path, const AcquireOptions& options) {
  auto model = std::dynamic_pointer_cast<ChatModel>(acquire_any(path, options));
  if (!model) throw Error(ErrorCode::model_unavailable, "the model encodes texts and generates none");
  return model;
}

std::shared_ptr<TextEncoder> Residency::acquire_encoder(const std::filesystem::path& path,
                                                        const AcquireOptions& options) {
  auto model = std::dynamic_pointer_cast<TextEncoder>(acquire_any(path, options));
  if (!model) throw Error(ErrorCode::model_unavailable, "the model generates texts and does not encode them");
  return model;
}

std::shared_ptr<ChatModel> Residency::find(const std::filesystem::path& path) {
  return std::dynamic_pointer_cast<ChatModel>(find_any(path));
}

std::shared_ptr<TextEncoder> Residency::find_encoder(const std::filesystem::path& path) {
  return std::dynamic_pointer_cast<TextEncoder>(find_any(path));
}

std::shared_ptr<Resident> Residency::acquire_any(const std::filesystem::path& path, const AcquireOptions& options) {
  const std::filesystem::path key = key_of(path);
  std::vector<std::shared_ptr<Resident>> gone;  // dies after the lock
  std::unique_lock lock(mutex_);
  while (true) {
    const std::optional<FileStamp> stamp = loader_->stamp(key);
    auto entry = lookup(key);
    if (entry != entries_.end() && entry->loading) {
      loaded_.wait(lock);
      continue;
    }
    const bool same = stamp && entry != entries_.end() && entry->stamp == *stamp;
    if (entry != entries_.end() && !same) {
      if (entry->model) gone.push_back(take_out(*entry, &LoadFigures::replaced, "its file changed"));
      entry->needs.reset();
      entry->error.reset();
      entry->failures = 0;
    }
    if (!stamp) throw Error(ErrorCode::model_unavailable, "there is no such file");
    if (same && entry->model) {
      touch(*entry, options);
      return entry->model;
    }
    if (same && entry->error && clock_.steady_ns() < entry->retry_at_ns) throw still_failing(*entry);
    if (entry == entries_.end()) {
      entry = entries_.insert(entries_.end(), Entry{});
      entry->path = key;
      entry->loads.load_ms = make_load_histogram();
    }
    entry->stamp = *stamp;
    entry->keep_alive_ms = options_.keep_alive_ms;
    auto model = load(*entry, lock);
    touch(*entry, options);
    return model;
  }
}

std::shared_ptr<Resident> Residency::find_any(const std::filesystem::path& path) {
  const std::filesystem::path key = key_of(path);
  const std::lock_guard lock(mutex_);
  const auto entry = lookup(key);
  if (entry == entries_.end() || !entry->model || loader_->stamp(key) != entry->stamp) return nullptr;
  touch(*entry, {});
  return entry->model;
}

Stopped Residency::stop(const std::filesystem::path& path) {
  std::vector<std::shared_ptr<Resident>> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = lookup(key_of(path));
    if (entry == entries_.end() || !entry->model) return Stopped::not_loaded;
    if (!idle(*entry)) {
      entry->stopping = true;
      return Stopped::when_idle;
    }
    gone.push_back(take_out(*entry, &LoadFigures::stopped, "stopped"));
  }
  forget(gone);
  return Stopped::now;
}

// Loads without the lock; what comes of it is in the entry afterwards.
std::shared_ptr<Resident> Residency::load(Entry& entry, std::unique_lock<std::mutex>& lock) {
  entry.loading = true;
  std::shared_ptr<Resident> model;
  std::optional<Error> error;
  lock.unlock();
  const std::int64_t start = clock_.steady_ns();
  try {
    model = load_unlocked(entry);
  } catch (const Error& e) {
    error = e;
  } catch (const std::bad_alloc&) {
    error = Error(ErrorCode::out_of_capacity, "not enough memory to load the model");
  } catch (...) {
    error = Error(ErrorCode::model_unavailable, "the model could not be loaded");
  }
  const std::int64_t ms = (clock_.steady_ns() - start) / 1'000'000;
  lock.lock();
  entry.loading = false;
  entry.loading_bytes = 0;
  loaded_.notify_all();
  if (error) {
    note_failure(entry, *error);
    throw entry.error.value_or(*error);
  }
  entry.model = model;
  entry.error.reset();
  entry.failures = 0;
  entry.load_ms = ms;
  ++entry.loads.loads;
  record(entry.loads.load_ms, static_cast<double>(ms));
  keeper_woken_.notify_all();
  log::info(
      "model loaded",
      {{"model", model->name()}, {"mib", std::to_string(model->status().bytes >> 20)}, {"ms", std::to_string(ms)}});
  return model;
}

std::shared_ptr<Resident> Residency::load_unlocked(Entry& entry) {
  if (!entry.needs) entry.needs = loader_->estimate(entry.path);  // the loading thread's own
  const ModelMemory memory = plan_memory(*entry.needs, options_);
  MemoryBudget::Reservation reservation = reserve(memory.least());
  reservation.grow(memory.most());
  {
    const std::lock_guard lock(mutex_);
    entry.loading_bytes = reservation.bytes();
  }
  EngineOptions options = options_;
  options.kv_bytes = memory.kv(reservation.bytes());
  const auto model = serve(loader_->load(entry.path), entry.path, options, clock_, thread_);
  const std::size_t scratch = memory.text + memory.scratch;
  const std::size_t bytes = model->bytes() + scratch;
  while (!reservation.resize(bytes)) {  // more than the estimate
    std::vector<std::shared_ptr<Resident>> gone;
    {
      const std::lock_guard lock(mutex_);
      auto oldest = take_oldest_idle();
      if (!oldest) throw too_large(bytes, budget_->limit(), "");
      gone.push_back(std::move(oldest));
    }
    forget(gone);
  }
  model->hold(std::move(reservation), scratch);
  return model;
}

MemoryBudget::Reservation Residency::reserve(std::size_t bytes) {
  if (bytes > budget_->limit()) throw too_large(bytes, budget_->limit(), "about ");
  const std::int64_t deadline_ns = clock_.steady_ns() + options_.memory_wait_ms * 1'000'000;
  std::vector<std::shared_ptr<Resident>> gone;
  std::unique_lock lock(mutex_);
  while (true) {
    if (auto reservation = budget_->reserve(bytes)) return std::move(*reservation);
    if (auto oldest = take_oldest_idle()) {
      gone.push_back(std::move(oldest));
      lock.unlock();
      forget(gone);
      lock.lock();
      continue;
    }
    if (clock_.steady_ns() >= deadline_ns || closing_) {
      Error error(ErrorCode::out_of_capacity, "the model needs about " + mib(bytes) + " of memory, " +
                                                  mib(budget_->limit() - budget_->used()) + " of " +
                                                  mib(budget_->limit()) + " are free and the other models are busy");
      error.retry_after_s = kBusyRetryS;
      throw error;
    }
    loaded_.wait_for(lock, kWaitStep);
  }
}

// Under the lock, with which alone an idle model could become busy.
std::shared_ptr<Resident> Residency::take_oldest_idle() {
  auto oldest = entries_.end();
  for (auto e = entries_.begin(); e != entries_.end(); ++e) {
    if (idle(*e) && (oldest == entries_.end() || e->last_use < oldest->last_use)) oldest = e;
  }
  return oldest == entries_.end() ? nullptr : take_out(*oldest, &LoadFigures::evicted, "another needs its memory");
}

std::shared_ptr<Resident> Residency::take_out(Entry& entry, Count why, std::string_view reason) {
  log::info("model dropped", {{"model", entry.model->name()}, {"reason", std::string(reason)}});
  ++(entry.loads.*why);
  const ModelStatus last = entry.model->status();
  entry.past.name = last.name;
  add_counts(entry.past, last);
  entry.stopping = false;
  return std::move(entry.model);
}

std::int64_t Residency::idle_since_ns(const Entry& entry) const {
  return std::max(entry.used_ns, entry.model->last_active_ns());
}

void Residency::tend() {
  std::vector<std::shared_ptr<Resident>> gone;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = clock_.steady_ns();
    for (Entry& entry : entries_) {
      if (!idle(entry)) continue;
      if (entry.stopping) {
        gone.push_back(take_out(entry, &LoadFigures::stopped, "stopped"));
      } else if (entry.keep_alive_ms >= 0 && (now - idle_since_ns(entry)) / 1'000'000 >= entry.keep_alive_ms) {
        gone.push_back(take_out(entry, &LoadFigures::expired, "idle for its keep-alive"));
      }
    }
  }
  forget(gone);
}

void Residency::keep() {
  std::unique_lock lock(mutex_);
  while (!closing_) {
    const bool any = std::any_of(entries_.begin(), entries_.end(), [](const Entry& e) { return e.model != nullptr; });
    if (!any) {
      keeper_woken_.wait(lock);
      continue;
    }
    lock.unlock();
    tend();
    lock.lock();
    if (!closing_) keeper_woken_.wait_for(lock, kKeeperStep);
  }
}

void Residency::note_failure(Entry& entry, const Error& error) {
  ++entry.loads.failed;
  if (entry.past.name.empty()) entry.past.name = model_name(entry.path, std::nullopt);
  log::warn("model failed to load", {{"file", entry.path.filename().string()}, {"error", error.detail()}});
  if (error.code() == ErrorCode::out_of_capacity) return;  // depends on the others: worth trying at any time
  entry.error = error;
  const int wait_s = std::min(1 << std::min(entry.failures, 6), kLongestBackOffS);
  entry.error->retry_after_s = wait_s;
  ++entry.failures;
  entry.retry_at_ns = clock_.steady_ns() + wait_s * kSecond;
}

Error Residency::still_failing(const Entry& entry) const {
  Error error = *entry.error;
  error.retry_after_s = static_cast<int>((entry.retry_at_ns - clock_.steady_ns() + kSecond - 1) / kSecond);
  return error;
}

ModelStatus Residency::status_of(const Entry& entry) const {
  ModelStatus status;
  status.figures = make_figures();
  if (entry.model) {
    status = entry.model->status();
    if (idle(entry)) status.idle_ms = std::max<std::int64_t>(0, clock_.steady_ns() - idle_since_ns(entry)) / 1'000'000;
  } else {
    status.name = entry.past.name.empty() ? model_name(entry.path, std::nullopt) : entry.past.name;
    status.in_memory = false;
    status.bytes = entry.loading_bytes;
  }
  status.path = entry.path;
  status.loading = entry.loading;
  status.stopping = entry.stopping;
  status.load_ms = entry.load_ms;
  status.keep_alive_ms = entry.keep_alive_ms;
  status.loads = entry.loads;
  return status;
}

std::vector<ModelStatus> Residency::status() const {
  std::vector<ModelStatus> all;
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.model || entry.loading) all.push_back(status_of(entry));
  }
  return all;
}

EngineFigures Residency::figures() const {
  EngineFigures out;
  out.memory_budget = budget_->limit();
  out.memory_used = budget_->used();
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.loads.loads + entry.loads.failed == 0) continue;
    ModelStatus status = status_of(entry);
    add_counts(status, entry.past);
    out.models.push_back(std::move(status));
  }
  return out;
}

std::unique_ptr<Engine> make_engine(const EngineOptions& options, const Clock& clock,
                                    std::unique_ptr<ModelLoader> loader) {
  return std::make_unique<Residency>(options, clock, std::move(loader));
}

}  // namespace glia::engine
