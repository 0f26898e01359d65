// The models in memory: which are loaded, which may go, which cannot be had for now.
//
//   acquire ─ loaded, same file ──────────────▶ shared
//           ─ being loaded by another thread ─▶ waits
//           ─ failed a moment ago ────────────▶ the same error, with the seconds left
//           ─ else: reserve the estimate (idle models go, oldest use first; busy ones are waited for, boundedly), load,
//             settle the true size
//
// A model is idle when the table is the only one that holds it. What still runs or is held stays charged to the budget
// even after its table entry went (file replaced). A keeper thread drops what idled for its keep-alive.
// A file keeps its entry, with its figures, after its model went: there are as many as the settings name files.
// Thread rule: any thread; loads of different paths run side by side. A model is never destroyed under the lock: giving
// gigabytes back takes a while.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/loader.h"
#include "engine/memory_budget.h"
#include "engine/resident.h"
#include "engine/step_thread.h"

namespace glia::engine {

class Residency final : public Engine {
 public:
  Residency(const EngineOptions& options, const Clock& clock, std::unique_ptr<ModelLoader> loader);
  ~Residency() override;

  std::shared_ptr<ChatModel> acquire(const std::filesystem::path& path, const AcquireOptions& options = {}) override;
  std::shared_ptr<ChatModel> find(const std::filesystem::path& path) override;
  std::shared_ptr<TextEncoder> acquire_encoder(const std::filesystem::path& path,
                                               const AcquireOptions& options = {}) override;
  std::shared_ptr<TextEncoder> find_encoder(const std::filesystem::path& path) override;
  Stopped stop(const std::filesystem::path& path) override;
  std::vector<ModelStatus> status() const override;
  EngineFigures figures() const override;
  std::string_view device_name() const override { return loader_->device_name(); }

  /// Drops what idled for its keep-alive. The keeper calls it; tests that turn the clock may.
  void tend();

 private:
  struct Entry {
    std::filesystem::path path;
    FileStamp stamp;
    std::optional<MemoryNeeds> needs;  // of this version of the file, once somebody asked
    std::shared_ptr<Resident> model;   // null while loading and after a failure
    bool loading = false;
    bool stopping = false;
    std::size_t loading_bytes = 0;  // reserved by the load that runs
    std::int64_t load_ms = 0;
    std::int64_t keep_alive_ms = 0;
    std::int64_t used_ns = 0;    // when it was last asked for
    std::uint64_t last_use = 0;  // the order of that
    std::optional<Error> error;  // of the last load
    std::int64_t retry_at_ns = 0;
    int failures = 0;
    LoadFigures loads;
    ModelStatus past;  // sums over its earlier times in memory
  };
  using Entries = std::list<Entry>;  // few; iterators stay valid
  using Count = std::uint64_t LoadFigures::*;

  std::shared_ptr<Resident> acquire_any(const std::filesystem::path& path, const AcquireOptions& options);
  std::shared_ptr<Resident> find_any(const std::filesystem::path& path);
  Entries::iterator lookup(const std::filesystem::path& key);
  void touch(Entry& entry, const AcquireOptions& options);
  std::shared_ptr<Resident> load(Entry& entry, std::unique_lock<std::mutex>& lock);
  std::shared_ptr<Resident> load_unlocked(Entry& entry);
  MemoryBudget::Reservation reserve(std::size_t bytes);
  std::shared_ptr<Resident> take_oldest_idle();
  std::shared_ptr<Resident> take_out(Entry& entry, Count why, std::string_view reason);
  void note_failure(Entry& entry, const Error& error);
  Error still_failing(const Entry& entry) const;
  bool idle(const Entry& entry) const { return entry.model && entry.model.use_count() == 1; }
  std::int64_t idle_since_ns(const Entry& entry) const;
  ModelStatus status_of(const Entry& entry) const;
  void keep();

  const EngineOptions options_;
  const Clock& clock_;
  const std::unique_ptr<ModelLoader> loader_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::shared_ptr<StepThread> thread_;

  mutable std::mutex mutex_;
  std::condition_variable loaded_;
  std::condition_variable keeper_woken_;
  bool closing_ = false;
  Entries entries_;
  std::uint64_t uses_ = 0;
  std::thread keeper_;  // last: it uses the rest
};

}  // namespace glia::engine
