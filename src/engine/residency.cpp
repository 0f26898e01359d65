#include "engine/residency.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/log.h"

namespace glia::engine {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr int kLongestBackOffS = 60;
constexpr int kBusyRetryS = 5;

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
  if (options.memory_budget == 0) options.memory_budget = machine_memory_bytes() / 4 * 3;
  return options;
}

// As ServedModel will have it: weights, and KV pages for as many contexts as can run and kv_bytes holds.
std::size_t needed_bytes(const models::MemoryEstimate& estimate, const EngineOptions& options) {
  const auto page_tokens = static_cast<std::size_t>(options.page_tokens);
  const std::size_t context =
      (static_cast<std::size_t>(std::max(estimate.context, 1)) + page_tokens - 1) / page_tokens * page_tokens;
  std::uint64_t kv = 0;
  if (!checked_mul(context * static_cast<std::size_t>(options.max_running), estimate.kv_bytes_per_token, kv))
    kv = options.kv_bytes;
  std::uint64_t all = 0;
  if (!checked_add(estimate.weight_bytes, std::min<std::uint64_t>(kv, options.kv_bytes), all)) all = ~std::uint64_t{0};
  return all;
}

std::string megabytes(std::size_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

}  // namespace

Residency::Residency(const EngineOptions& options, const Clock& clock, std::unique_ptr<ModelLoader> loader)
    : options_(checked(options)),
      clock_(clock),
      loader_(std::move(loader)),
      budget_(MemoryBudget::create(options_.memory_budget)),
      thread_(std::make_shared<StepThread>()) {}

Residency::~Residency() { thread_->stop(); }

Residency::Entries::iterator Residency::find(const std::filesystem::path& path) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.path == path; });
}

std::shared_ptr<ChatModel> Residency::acquire(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
  const std::filesystem::path key = (failed ? path : absolute).lexically_normal();
  std::unique_lock lock(mutex_);
  while (true) {
    const std::optional<FileStamp> stamp = loader_->stamp(key);
    auto entry = find(key);
    if (entry != entries_.end() && entry->loading) {
      loaded_.wait(lock);
      continue;
    }
    if (!stamp) {
      if (entry != entries_.end()) entries_.erase(entry);
      throw Error(ErrorCode::model_unavailable, "there is no such file");
    }
    const bool same = entry != entries_.end() && entry->stamp == *stamp;
    if (same && entry->model) {
      entry->last_use = ++uses_;
      return entry->model;
    }
    if (same && entry->error && clock_.steady_ns() < entry->retry_at_ns) throw still_failing(*entry);
    if (entry == entries_.end()) entry = entries_.insert(entries_.end(), Entry{});
    if (!same) {
      *entry = Entry{};
      entry->path = key;
      entry->stamp = *stamp;
    }
    entry->loading = true;

    std::shared_ptr<ServedModel> model;
    std::optional<Error> error;
    lock.unlock();
    try {
      model = load(key);
    } catch (const Error& e) {
      error = e;
    } catch (const std::bad_alloc&) {
      error = Error(ErrorCode::out_of_capacity, "not enough memory to load the model");
    } catch (...) {
      error = Error(ErrorCode::model_unavailable, "the model could not be loaded");
    }
    lock.lock();
    entry->loading = false;
    loaded_.notify_all();
    if (error) {
      note_failure(*entry, *error);
      throw *error;
    }
    entry->model = model;
    entry->error.reset();
    entry->failures = 0;
    entry->last_use = ++uses_;
    return model;
  }
}

std::shared_ptr<ServedModel> Residency::load(const std::filesystem::path& path) {
  const std::int64_t start = clock_.steady_ns();
  MemoryBudget::Reservation reservation = reserve(needed_bytes(loader_->estimate(path), options_));
  auto model = std::make_shared<ServedModel>(loader_->load(path), path, options_, clock_, thread_);
  while (!reservation.resize(model->bytes())) {
    const std::lock_guard lock(mutex_);
    if (!drop_one_idle()) {
      throw Error(ErrorCode::out_of_capacity, "the model needs " + megabytes(model->bytes()) + " of memory");
    }
  }
  model->hold(std::move(reservation));
  log::info("model loaded", {{"model", model->name()},
                             {"mb", std::to_string(model->bytes() / 1'000'000)},
                             {"ms", std::to_string((clock_.steady_ns() - start) / 1'000'000)}});
  return model;
}

MemoryBudget::Reservation Residency::reserve(std::size_t bytes) {
  if (bytes > budget_->limit()) {
    throw Error(ErrorCode::out_of_capacity, "the model needs about " + megabytes(bytes) + " of memory, the budget is " +
                                                megabytes(budget_->limit()));
  }
  const std::lock_guard lock(mutex_);
  while (true) {
    if (auto reservation = budget_->reserve(bytes)) return std::move(*reservation);
    if (drop_one_idle()) continue;
    Error error(ErrorCode::out_of_capacity, "other models are busy and fill the memory budget");
    error.retry_after_s = kBusyRetryS;
    throw error;
  }
}

// Under the lock, with which alone an idle model could become busy.
bool Residency::drop_one_idle() {
  auto oldest = entries_.end();
  for (auto e = entries_.begin(); e != entries_.end(); ++e) {
    const bool idle = e->model && e->model.use_count() == 1;
    if (idle && (oldest == entries_.end() || e->last_use < oldest->last_use)) oldest = e;
  }
  if (oldest == entries_.end()) return false;
  log::info("model dropped", {{"model", oldest->model->name()}});
  entries_.erase(oldest);
  return true;
}

void Residency::note_failure(Entry& entry, const Error& error) {
  if (error.code() == ErrorCode::out_of_capacity) {  // depends on the others: worth trying at any time
    entries_.remove_if([&](const Entry& e) { return &e == &entry; });
    return;
  }
  log::warn("model failed to load", {{"file", entry.path.filename().string()}, {"error", error.detail()}});
  entry.error = error;
  const int wait_s = std::min(1 << std::min(entry.failures, 6), kLongestBackOffS);
  ++entry.failures;
  entry.retry_at_ns = clock_.steady_ns() + wait_s * kSecond;
}

Error Residency::still_failing(const Entry& entry) const {
  Error error = entry.error.value_or(Error(ErrorCode::model_unavailable));
  error.retry_after_s = static_cast<int>((entry.retry_at_ns - clock_.steady_ns() + kSecond - 1) / kSecond);
  return error;
}

std::vector<ModelStatus> Residency::status() const {
  std::vector<ModelStatus> all;
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.model) all.push_back(entry.model->status());
  }
  return all;
}

std::unique_ptr<Engine> make_engine(const EngineOptions& options, const Clock& clock,
                                    std::unique_ptr<ModelLoader> loader) {
  return std::make_unique<Residency>(options, clock, std::move(loader));
}

}  // namespace glia::engine
