// The models in memory: which are loaded, which may go, which cannot be had for now.
//
//   acquire ─ loaded, same file ──────────────▶ shared
//           ─ being loaded by another thread ─▶ waits
//           ─ failed a moment ago ────────────▶ the same error, with the seconds left
//           ─ else: reserve the estimate (idle models go, oldest use first), load, settle the true size
//
// A model is idle when the table is the only one that holds it. What still runs or is held stays charged to the budget
// even after its table entry went (file replaced).
// Thread rule: any thread; loads of different paths run side by side.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/loader.h"
#include "engine/memory_budget.h"
#include "engine/served_model.h"
#include "engine/step_thread.h"

namespace glia::engine {

class Residency final : public Engine {
 public:
  Residency(const EngineOptions& options, const Clock& clock, std::unique_ptr<ModelLoader> loader);
  ~Residency() override;

  std::shared_ptr<ChatModel> acquire(const std::filesystem::path& path) override;
  std::vector<ModelStatus> status() const override;
  std::string_view device_name() const override { return loader_->device_name(); }

 private:
  struct Entry {
    std::filesystem::path path;
    FileStamp stamp;
    std::shared_ptr<ServedModel> model;  // null while loading and after a failure
    bool loading = false;
    std::uint64_t last_use = 0;
    std::optional<Error> error;  // of the last load
    std::int64_t retry_at_ns = 0;
    int failures = 0;
  };
  using Entries = std::list<Entry>;  // few; iterators stay valid

  Entries::iterator find(const std::filesystem::path& path);
  std::shared_ptr<ServedModel> load(const std::filesystem::path& path);
  MemoryBudget::Reservation reserve(std::size_t bytes);
  bool drop_one_idle();
  void note_failure(Entry& entry, const Error& error);
  Error still_failing(const Entry& entry) const;

  const EngineOptions options_;
  const Clock& clock_;
  const std::unique_ptr<ModelLoader> loader_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::shared_ptr<StepThread> thread_;

  mutable std::mutex mutex_;
  std::condition_variable loaded_;
  Entries entries_;
  std::uint64_t uses_ = 0;
};

}  // namespace glia::engine
