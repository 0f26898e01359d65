#include "tasks/work_queue.h"

#include <utility>

namespace glia::tasks {

WorkQueue::WorkQueue(std::size_t threads, std::size_t most_queued) : most_queued_(most_queued) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkQueue::~WorkQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool WorkQueue::post(std::function<void()> job) {
  // Told under the lock: the job may end all that the owner waits for, and the queue with it, once the lock is free.
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= most_queued_) return false;
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  return true;
}

std::size_t WorkQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

void WorkQueue::work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace glia::tasks
