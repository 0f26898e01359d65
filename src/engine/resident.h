// What the table of models needs of a model in memory, whatever it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "engine/memory_budget.h"
#include "engine/step_thread.h"

namespace glia::engine {

class Resident : public Steppable {
 public:
  virtual const std::string& name() const = 0;
  virtual std::size_t bytes() const = 0;  ///< weights and KV pages
  virtual ModelStatus status() const = 0;
  /// What it keeps in memory is charged to this as long as it lives.
  /// `scratch_bytes`: what of it is neither weights nor KV pages.
  virtual void hold(MemoryBudget::Reservation reservation, std::size_t scratch_bytes) = 0;
  /// When its last request ended; 0: there was none.
  virtual std::int64_t last_active_ns() const = 0;
};

}  // namespace glia::engine
