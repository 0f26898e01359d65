// A few threads for what must not run on a caller's I/O thread: loading, rendering, tokenising.
// Jobs start in order and must not throw. Thread rule: post() from any thread; the destructor runs what is queued and
// joins.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace glia::tasks {

class WorkQueue {
 public:
  WorkQueue(std::size_t threads, std::size_t most_queued);
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue();

  /// False when `most_queued` jobs wait already.
  [[nodiscard]] bool post(std::function<void()> job);
  /// Jobs that no thread has taken yet.
  std::size_t waiting() const;

 private:
  void work();

  const std::size_t most_queued_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace glia::tasks
