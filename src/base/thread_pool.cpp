#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace glia {
namespace {

constexpr std::chrono::microseconds kWorkerSpin{20};
constexpr std::chrono::microseconds kCallerSpin{50};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Polls `ready` for a while; false when the time is over.
template <class Ready>
bool spin(std::chrono::microseconds limit, Ready ready) {
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

/// quota / period of a cgroup v2 cpu.max file; 0 when it sets no limit or is not there.
double quota_of(const std::string& file) {
  std::string quota;
  double period = 0;
  std::ifstream in(file);
  if (!(in >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

/// Cores' worth of CPU time that this process's cgroup and those above it grant; 0 when there is no limit.
double cgroup_cores() {
  double least = 0;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (!line.starts_with("0::/")) continue;  // version 1 hierarchies
    for (std::string path = line.substr(3);; path.resize(path.find_last_of('/'))) {
      const double cores = quota_of("/sys/fs/cgroup" + path + "/cpu.max");
      if (cores > 0 && (least == 0 || cores < least)) least = cores;
      if (path.find('/') == std::string::npos) break;
    }
  }
  double us = 0;
  double period = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (least == 0 && v1_quota >> us && v1_period >> period && us > 0 && period > 0) return us / period;
  return least;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set)
                                                           : static_cast<int>(std::thread::hardware_concurrency());
  const double granted = cgroup_cores();
  if (granted > 0) cores = std::min(cores, static_cast<int>(std::ceil(granted)));
  return std::max(cores, 1);
}

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = usable_cores();
  workers_.reserve(static_cast<std::size_t>(threads) - 1);
  for (int worker = 1; worker < threads; worker++) workers_.emplace_back([this, worker] { serve(worker); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& t : workers_) t.join();
}

void ThreadPool::run(std::uint32_t count, Call call, void* context) {
  if (count == 0) return;
  if (count == 1 || workers_.empty()) {
    for (std::uint32_t i = 0; i < count; i++) call(context, i, 0);
    return;
  }
  call_ = call;
  context_ = context;
  count_ = count;
  pending_.store(count, std::memory_order_relaxed);
  work_.store(count, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    wake_.fetch_add(1);
    wake_.notify_all();
  }
  while (work(0)) {
  }
  const auto done = [this] { return pending_.load(std::memory_order_acquire) == 0; };
  if (spin(kCallerSpin, done)) return;
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  for (std::uint32_t left = pending_.load(std::memory_order_seq_cst); left != 0; left = pending_.load()) {
    pending_.wait(left);
  }
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

/// Claims and runs one piece; false when none is left.
bool ThreadPool::work(int worker) {
  std::uint32_t left = work_.load(std::memory_order_acquire);
  do {
    if (left == 0) return false;
  } while (!work_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_acquire));
  // The claim succeeded, so this job cannot end before the decrement below: its fields stand still.
  call_(context_, count_ - left, worker);
  if (pending_.fetch_sub(1, std::memory_order_seq_cst) == 1 && caller_sleeps_.load(std::memory_order_seq_cst)) {
    pending_.notify_one();
  }
  return true;
}

void ThreadPool::serve(int worker) {
  while (wait_for_work()) {
    while (work(worker)) {
    }
  }
}

/// False when the pool ends.
bool ThreadPool::wait_for_work() {
  const auto ready = [this] { return work_.load(std::memory_order_seq_cst) != 0 || stop_.load(); };
  if (!spin(kWorkerSpin, ready)) {
    sleepers_.fetch_add(1);
    while (true) {
      const std::uint32_t seen = wake_.load();
      if (ready()) break;
      wake_.wait(seen);
    }
    sleepers_.fetch_sub(1);
  }
  return !stop_.load();
}

}  // namespace glia
