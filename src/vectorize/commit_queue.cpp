#include "vectorize/commit_queue.h"

#include <optional>
#include <utility>

#include "base/log.h"

namespace glia::vectorize {
namespace {

constexpr std::size_t kMostWaiting = std::size_t{512} << 20;

}  // namespace

CommitQueue::CommitQueue(LogStore& store, std::function<bool(LogStore&)> idle)
    : store_(store), idle_(std::move(idle)), thread_([this] { run(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CommitQueue::submit(Work work, Done done, std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (bytes > 0 && waiting_bytes_ + bytes > kMostWaiting && waiting_bytes_ > 0) {
      Error error(ErrorCode::vectorize_too_many_requests);
      error.retry_after_s = 1;
      throw error;
    }
    waiting_bytes_ += bytes;
    queue_.push_back({std::move(work), std::move(done), bytes});
  }
  changed_.notify_one();
}

void CommitQueue::run() {
  bool more = true;  // that is left from before
  for (;;) {
    std::vector<Item> items;
    {
      std::unique_lock lock(mutex_);
      if (!more) changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty() && stopping_) return;
      items.swap(queue_);
    }
    if (items.empty()) {
      more = idle_(store_);
      continue;
    }
    write(items);
    more = true;
  }
}

void CommitQueue::write(std::vector<Item>& items) {
  std::optional<Error> failed;  // all of them
  std::vector<std::optional<Error>> errors(items.size());
  bool begun = false;
  try {
    store_.begin();
    begun = true;
    for (std::size_t i = 0; i < items.size(); ++i) {
      try {
        store_.in_savepoint([&] { items[i].work(store_); });
      } catch (const store::SqlError&) {
        throw;
      } catch (const Error& error) {
        errors[i] = error;
      } catch (const std::exception&) {  // no memory
        errors[i] = Error(ErrorCode::internal);
      }
    }
    store_.commit();
  } catch (const Error& error) {
    if (begun) store_.roll_back();
    log::error("changes of vector indexes could not be written",
               {{"changes", std::to_string(items.size())}, {"reason", error.detail()}});
    failed = error;
  }
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto& error = failed ? failed : errors[i];
    items[i].done(error ? &*error : nullptr);
    bytes += items[i].bytes;
  }
  const std::lock_guard lock(mutex_);
  waiting_bytes_ -= bytes;
}

}  // namespace glia::vectorize
