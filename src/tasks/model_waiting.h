// Runs whose model is not in memory yet: one load for all that ask for it, on a thread of its own, so that a load, or a
// wait for memory, never holds up the runs of models that are there.
// Ownership: the engine must outlive it; the destructor waits for the loads that run. Thread rule: any thread.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tasks/loaded_model.h"
#include "tasks/work_queue.h"

namespace glia::tasks {

class ModelWaiting {
 public:
  /// Called once: with the model, or with one that holds null and why.
  using Ready = std::function<void(const LoadedModel& model, const Error* error)>;

  /// `threads`: loads at once.
  ModelWaiting(engine::Engine& engine, std::size_t threads);

  /// Calls back on one of the loading threads.
  void wait_for(ModelKind kind, const std::filesystem::path& path, Ready ready);

 private:
  using Wanted = std::pair<ModelKind, std::filesystem::path>;
  void load(const Wanted& wanted);
  void tell(const Wanted& wanted, const LoadedModel& model, const Error* error);

  engine::Engine& engine_;
  std::mutex mutex_;
  std::map<Wanted, std::vector<Ready>> waiting_;
  WorkQueue loads_;  // last: its threads end first
};

}  // namespace glia::tasks
