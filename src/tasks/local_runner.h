// The Runner that answers from models on this machine.
//
// run() checks the request (id, schema, weights on disk, room) on the caller's thread; loading, rendering and
// tokenising happen on threads of its own, generation on the engine's. A run is metered from its token counts: reserved
// when the prompt's tokens are known, settled when the engine is done, finished when the charge is durable. Ownership:
// everything given to the constructor must outlive the runner. The destructor cancels what runs and waits until each
// sink has heard its end. Thread rule: run() from any thread. Errors: as Runner says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "engine/engine.h"
#include "tasks/runner.h"
#include "tasks/weights.h"

namespace glia::tasks {

struct LocalRunnerOptions {
  std::size_t threads = 4;                                ///< that load, render and tokenise
  std::size_t most_waiting = 1024;                        ///< runs that wait for such a thread; above: out_of_capacity
  std::size_t loads = 4;                                  ///< models that are loaded, or wait for memory, at once
  std::int32_t max_running = 64;                          ///< the engine's: reject_if_busy refuses from here on
  std::int32_t max_queued = 512;                          ///< of one model, beside them; above: out_of_capacity at once
  std::size_t most_input_bytes = std::size_t{256} << 20;  ///< of the inputs of all runs; above: the same
  /// Ids that the service retires by this day ("2026-12-01") answer model_deprecated. "now": the clock's day; empty:
  /// every id answers, and one that is to retire says so in its notes.
  std::string retired_by = {};
};

/// Whether `retired_by` (see LocalRunnerOptions) refuses the id.
bool is_retired(const catalog::ModelEntry& entry, const std::string& retired_by, const Clock& clock);

class LocalRunner final : public Runner {
 public:
  LocalRunner(const catalog::Catalog& catalog, engine::Engine& engine, Meter& meter, const Clock& clock,
              const Weights& weights, LocalRunnerOptions options = {});
  ~LocalRunner() override;

  std::shared_ptr<Run> run(RunRequest request, std::shared_ptr<RunSink> sink) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::tasks
