#include "tasks/model_waiting.h"

#include <optional>
#include <utility>

namespace glia::tasks {
namespace {

constexpr std::size_t kMostLoads = 1024;  // different files: fewer than the catalogue's ids

}  // namespace

ModelWaiting::ModelWaiting(engine::Engine& engine, std::size_t threads)
    : engine_(engine), loads_(threads, kMostLoads) {}

void ModelWaiting::wait_for(ModelKind kind, const std::filesystem::path& path, Ready ready) {
  const Wanted wanted{kind, path};
  {
    const std::lock_guard lock(mutex_);
    auto& waiting = waiting_[wanted];
    waiting.push_back(std::move(ready));
    if (waiting.size() > 1) return;  // whoever came first brings it
  }
  if (loads_.post([this, wanted] { load(wanted); })) return;
  Error error(ErrorCode::out_of_capacity, "too many models are on their way");
  error.retry_after_s = 1;
  tell(wanted, {}, &error);
}

void ModelWaiting::load(const Wanted& wanted) {
  LoadedModel model;
  std::optional<Error> error;
  try {
    model = acquire(engine_, wanted.first, wanted.second);
  } catch (const Error& e) {
    error = e;
  } catch (const std::exception&) {
    error = Error(ErrorCode::internal);
  }
  tell(wanted, model, error ? &*error : nullptr);
}

void ModelWaiting::tell(const Wanted& wanted, const LoadedModel& model, const Error* error) {
  std::vector<Ready> all;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(wanted);
    all = std::move(found->second);
    waiting_.erase(found);
  }
  for (const Ready& ready : all) ready(model, error);
}

}  // namespace glia::tasks
