// Who may come in: so many runs of one model at once, and so many bytes of inputs altogether. What would come on top is
// refused at once, before its prompt is rendered or a thread is taken.
// Ownership: passes may outlive it. Thread rule: any thread. Errors: enter() throws glia::Error(out_of_capacity) with
// the seconds after which there should be room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/json.h"

namespace glia::tasks {

struct AdmissionLimits {
  std::int32_t max_running = 64;                    ///< of one model, that the engine works on at once
  std::int32_t max_queued = 512;                    ///< of one model, beside them
  std::size_t most_bytes = std::size_t{256} << 20;  ///< of all inputs
};

class Admission {
 public:
  /// A place, as long as it lives. Made by enter().
  class Pass;

  Admission(const AdmissionLimits& limits, const Clock& clock);
  ~Admission();

  std::shared_ptr<Pass> enter(const std::filesystem::path& weights, std::size_t bytes);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What a parsed value takes in memory, about.
std::size_t bytes_of(const json::value& value);

}  // namespace glia::tasks
