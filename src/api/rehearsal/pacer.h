// Does things later, in time: one thread for all that rehearsals hold back.
// Thread rule: every method from any thread; functions are called on the pacer's thread, at() after close() calls its
// own at once. Functions must not block.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace glia::api {

class Pacer {
 public:
  explicit Pacer(const Clock& clock) : clock_(clock) {}
  ~Pacer() { close(); }
  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  /// `due_ns` on the steady clock.
  void at(std::int64_t due_ns, std::function<void()> what);
  /// Calls at once what was to come later; returns when all of it has been called.
  void close();
  bool closed() const;
  std::int64_t now_ns() const { return clock_.steady_ns(); }

 private:
  void work();

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<std::int64_t, std::function<void()>> later_;
  bool closed_ = false;
  std::thread thread_;  ///< started with the first use
};

}  // namespace glia::api
