#include "engine/step_thread.h"

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace glia::engine {
namespace {

// What a sink throws here is its own affair: its generation is over.
void tell(Ending& ending) {
  try {
    ending.tell();
  } catch (const std::exception&) {
    log::warn("a sink threw at its end");
  } catch (...) {
    log::warn("a sink threw at its end");
  }
}

void tell_all(std::vector<Ending>& endings) {
  for (Ending& ending : endings) tell(ending);
  endings.clear();
}

}  // namespace

void Ending::tell() {
  std::visit(
      [](auto& end) {
        const auto sink = std::exchange(end.sink, nullptr);
        if (auto* error = std::get_if<Error>(&end.how)) {
          sink->failed(*error);
        } else {
          sink->done(std::get<0>(std::move(end.how)));
        }
      },
      end_);
}

StepThread::StepThread() : thread_([this] { loop(); }) {}

StepThread::~StepThread() { stop(); }

void StepThread::wake(const std::shared_ptr<Steppable>& model) {
  if (model->listed_) return;
  arrived_.push_back(model);
  model->listed_ = true;
  woken_.notify_one();
}

void StepThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    woken_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void StepThread::loop() {
  pthread_setname_np(pthread_self(), "glia-engine");
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (active_.empty()) woken_.wait(lock, [this] { return stopping_ || !arrived_.empty(); });
      std::move(arrived_.begin(), arrived_.end(), std::back_inserter(active_));
      arrived_.clear();
      if (stopping_) break;
    }
    for (std::size_t i = 0; i < active_.size();) {
      if (settle(i, active_[i]->tidy(endings_)) && settle(i, active_[i]->step(endings_))) ++i;
    }
  }
  for (const auto& model : active_) model->end_all(Error(ErrorCode::aborted, "the server is stopping"), endings_);
  active_.clear();
  tell_all(endings_);
}

// Lets go of a model without work first, so that a sink that hears of its end finds nothing held any more.
bool StepThread::settle(std::size_t i, bool busy) {
  if (!busy) {
    const std::lock_guard lock(mutex_);
    busy = active_[i]->has_inbox();
    active_[i]->listed_ = busy;
  }
  if (!busy) active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
  tell_all(endings_);
  return busy;
}

}  // namespace glia::engine
