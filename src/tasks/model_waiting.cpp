#include "tasks/model_waiting.h"

#include <optional>
#include <utility>

namespace glia::tasks {
namespace {

constexpr std::size_t kMostLoads = 1024;  // different files: fewer than the catalogue's ids

}  // namespace

ModelWaiting::ModelWaiting(engine::Engine& engine, std::size_t threads)
    : engine_(engine), loads_(threads, kMostLoads) {}

void ModelWaiting::wait_for(const std::filesystem::path& path, Ready ready) {
  {
    const std::lock_guard lock(mutex_);
    auto& waiting = waiting_[path];
    waiting.push_back(std::move(ready));
    if (waiting.size() > 1) return;  // whoever came first brings it
  }
  if (loads_.post([this, path] { load(path); })) return;
  Error error(ErrorCode::out_of_capacity, "too many models are on their way");
  error.retry_after_s = 1;
  tell(path, nullptr, &error);
}

void ModelWaiting::load(const std::filesystem::path& path) {
  std::shared_ptr<engine::ChatModel> model;
  std::optional<Error> error;
  try {
    model = engine_.acquire(path);
  } catch (const Error& e) {
    error = e;
  } catch (const std::exception&) {
    error = Error(ErrorCode::internal);
  }
  tell(path, model, error ? &*error : nullptr);
}

void ModelWaiting::tell(const std::filesystem::path& path, const std::shared_ptr<engine::ChatModel>& model,
                        const Error* error) {
  std::vector<Ready> all;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(path);
    all = std::move(found->second);
    waiting_.erase(found);
  }
  for (const Ready& ready : all) ready(model, error);
}

}  // namespace glia::tasks
