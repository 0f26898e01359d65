// A pool that runs the pieces of one short loop at a time, for kernels: microseconds per call, no allocation.
//
// The calling thread works too, as worker 0, and takes every piece that no other worker has claimed: a worker that the
// system keeps from running delays a call by at most the one piece it holds. Waiting spins for some microseconds (calls
// come back to back inside a model's step), then sleeps on a futex; an idle pool costs nothing.
// Errors: the body must not throw. Thread rule: one thread at a time calls for_each.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace glia {

/// Cores that this process may use: its affinity mask, cut to the cgroup's CPU quota (rounded up). At least 1.
int usable_cores();

class ThreadPool {
 public:
  /// `threads` counts the caller; 0: usable_cores().
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(index, worker) once for every index in [0, count), in any order, on up to size() threads; returns when
  /// all are done, with their writes visible. `worker` is in [0, size()): one thread's scratch space.
  template <class Body>
  void for_each(std::uint32_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(
        count, [](void* context, std::uint32_t index, int worker) { (*static_cast<Plain*>(context))(index, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, std::uint32_t index, int worker);

  void run(std::uint32_t count, Call call, void* context);
  bool work(int worker);
  void serve(int worker);
  bool wait_for_work();

  // The job. Plain fields: written before work_ is published, read only by who holds a claimed piece, which keeps run()
  // from returning.
  Call call_ = nullptr;
  void* context_ = nullptr;
  std::uint32_t count_ = 0;

  alignas(64) std::atomic<std::uint32_t> work_{0};     ///< pieces not claimed yet
  alignas(64) std::atomic<std::uint32_t> pending_{0};  ///< pieces not done yet; run() returns at 0
  alignas(64) std::atomic<std::uint32_t> wake_{0};     ///< sleepers wait for a change of this
  std::atomic<std::uint32_t> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace glia
