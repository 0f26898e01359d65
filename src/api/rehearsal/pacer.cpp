#include "api/rehearsal/pacer.h"

#include <algorithm>
#include <chrono>

namespace glia::api {

void Pacer::at(std::int64_t due_ns, std::function<void()> what) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      later_.emplace(due_ns, std::move(what));
      if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
      changed_.notify_one();
      return;
    }
  }
  what();
}

void Pacer::close() {
  std::thread ended;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ended.swap(thread_);
    changed_.notify_one();
  }
  if (ended.joinable()) ended.join();
}

bool Pacer::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Pacer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (later_.empty()) {
      if (closed_) return;
      changed_.wait(lock);
      continue;
    }
    const std::int64_t wait_ns = closed_ ? 0 : later_.begin()->first - clock_.steady_ns();
    if (wait_ns > 0) {
      changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
      continue;
    }
    auto next = later_.extract(later_.begin());
    lock.unlock();
    next.mapped()();
    next = {};  // what it held may end here, without the lock
    lock.lock();
  }
}

}  // namespace glia::api
