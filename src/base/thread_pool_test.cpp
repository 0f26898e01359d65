#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <vector>

namespace glia {
namespace {

TEST(ThreadPool, EveryIndexRunsOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (std::uint32_t count = 0; count < 200; count++) {
      std::vector<int> runs(count, 0);
      pool.for_each(count, [&](std::uint32_t i, int worker) {
        ASSERT_LT(worker, threads);
        runs[i]++;
      });
      for (const int r : runs) ASSERT_EQ(r, 1);
    }
  }
}

TEST(ThreadPool, WritesAreVisibleToTheNextCall) {
  ThreadPool pool(4);
  std::vector<std::uint64_t> values(64, 0);
  std::vector<std::uint64_t> next(64, 0);
  for (int round = 0; round < 5000; round++) {
    pool.for_each(64, [&](std::uint32_t i, int) { next[i] = values[63 - i] + 1; });  // reads what others wrote
    values.swap(next);
  }
  for (const std::uint64_t v : values) EXPECT_EQ(v, 5000U);
}

TEST(ThreadPool, SleepersWakeAndTheCallerSleepsThroughALongPiece) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; round++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::vector<int> runs(2, 0);
    pool.for_each(2, [&](std::uint32_t i, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(i == 0 ? 1 : 4));
      runs[i]++;
    });
    EXPECT_EQ(runs[0] + runs[1], 2);
  }
}

TEST(ThreadPool, AnIdlePoolUsesNoCpu) {
  ThreadPool pool(4);
  pool.for_each(16, [](std::uint32_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto cpu_ns = [] {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  const double before = cpu_ns();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LT(cpu_ns() - before, 10e6);
}

TEST(ThreadPool, UsableCoresIsWithinTheMachine) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace glia
