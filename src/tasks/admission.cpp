#include "tasks/admission.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"

namespace glia::tasks {
namespace {

[[noreturn]] void refuse(const std::string& detail, double seconds) {
  Error error(ErrorCode::out_of_capacity, detail);
  error.retry_after_s = static_cast<int>(std::clamp(std::ceil(seconds), 1.0, 60.0));
  throw error;
}

}  // namespace

struct Admission::State {
  struct Model {
    std::int32_t live = 0;
    double mean_s = 0;  ///< of a run, recent ones above all
  };
  const AdmissionLimits limits;
  const Clock& clock;
  std::mutex mutex;
  std::map<std::filesystem::path, Model> models;  ///< as many as the settings name files
  std::size_t bytes = 0;

  State(const AdmissionLimits& l, const Clock& c) : limits(l), clock(c) {}
};

class Admission::Pass {
 public:
  Pass(std::shared_ptr<State> state, State::Model& model, std::size_t bytes)
      : state_(std::move(state)), model_(model), bytes_(bytes), since_ns_(state_->clock.steady_ns()) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    const double seconds = static_cast<double>(state_->clock.steady_ns() - since_ns_) * 1e-9;
    const std::lock_guard lock(state_->mutex);
    --model_.live;
    model_.mean_s += 0.125 * (seconds - model_.mean_s);
    state_->bytes -= bytes_;
  }

 private:
  std::shared_ptr<State> state_;
  State::Model& model_;  ///< in the state, for good
  std::size_t bytes_;
  std::int64_t since_ns_;
};

Admission::Admission(const AdmissionLimits& limits, const Clock& clock)
    : state_(std::make_shared<State>(limits, clock)) {}

Admission::~Admission() = default;

std::shared_ptr<Admission::Pass> Admission::enter(const std::filesystem::path& weights, std::size_t bytes) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  State::Model& model = state.models[weights];
  if (model.live >= state.limits.max_running + state.limits.max_queued) {
    const double rounds = static_cast<double>(model.live) / state.limits.max_running;
    refuse(std::to_string(model.live) + " requests are ahead", rounds * model.mean_s);
  }
  if (bytes > state.limits.most_bytes - std::min(state.bytes, state.limits.most_bytes)) {
    refuse("the inputs that wait fill the memory for requests", model.mean_s);
  }
  auto pass = std::make_shared<Pass>(state_, model, bytes);
  ++model.live;
  state.bytes += bytes;
  return pass;
}

std::size_t bytes_of(const json::value& value) {
  std::size_t bytes = sizeof(json::value);
  if (const auto* text = value.if_string()) bytes += text->capacity();
  if (const auto* list = value.if_array()) {
    for (const auto& item : *list) bytes += bytes_of(item);
  }
  if (const auto* object = value.if_object()) {
    for (const auto& [key, item] : *object) bytes += key.size() + 2 * sizeof(json::value) + bytes_of(item);
  }
  return bytes;
}

}  // namespace glia::tasks
