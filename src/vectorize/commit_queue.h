// Group commit: what several threads want written goes to the disk together, in the order in which it was handed over.
//
// One thread writes. Whatever came while a commit was under way is in the next one; a lone write is committed at once.
// Thread rule: submit() from any thread; `work`, `done` and `idle` are called on the writer's thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "vectorize/log_store.h"

namespace glia::vectorize {

class CommitQueue {
 public:
  using Work = std::function<void(LogStore&)>;
  /// Null: it is on the disk. Otherwise why it is not; nothing of it is.
  using Done = std::function<void(const Error* error)>;

  /// `idle`: whether there is more to do when nothing waits; asked again until it says no.
  CommitQueue(LogStore& store, std::function<bool(LogStore&)> idle);
  /// Writes what was handed over.
  ~CommitQueue();

  /// `bytes`: what waits in memory for it. Errors: glia::Error(vectorize_too_many_requests) where too much waits.
  void submit(Work work, Done done, std::size_t bytes = 0);

 private:
  struct Item {
    Work work;
    Done done;
    std::size_t bytes;
  };

  void run();
  void write(std::vector<Item>& items);

  LogStore& store_;
  std::function<bool(LogStore&)> idle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> queue_;
  std::size_t waiting_bytes_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace glia::vectorize
