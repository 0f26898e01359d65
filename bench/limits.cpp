// What this machine can do at most, on all the given threads together: a comparison's figure as a share of it says how
// much room there is. Prints "bandwidth_gb_s X int8_gop_s Y"; an instruction set without int8 dot products prints 0.
// The arithmetic loop is assembly, so that no accumulator can spill (a loop that spilled showed half the peak).
// usage: limits [threads]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace {

double seconds_on(int threads, const std::function<void(std::size_t)>& work) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> all;
  for (int i = 0; i < threads; i++) all.emplace_back(work, static_cast<std::size_t>(i));
  for (auto& t : all) t.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double best_of(int runs, const std::function<double()>& seconds) {
  double best = seconds();
  for (int i = 1; i < runs; i++) best = std::min(best, seconds());
  return best;
}

#if defined(__x86_64__)
__attribute__((target_clones("default", "avx2", "avx512f")))
#endif
std::uint64_t
read_all(const std::vector<std::uint64_t>& block) {
  std::uint64_t sums[32] = {};  // as many loads under way as registers hold
  for (std::size_t k = 0; k < block.size(); k += 32) {
    for (std::size_t j = 0; j < 32; j++) sums[j] ^= block[k + j];
  }
  std::uint64_t sum = 0;
  for (const auto s : sums) sum ^= s;
  return sum;
}

/// GB/s of reading memory that no cache holds.
double bandwidth(int threads) {
  constexpr std::size_t kWords = std::size_t{64} << 20;  // of 8 bytes: 512 MiB a thread
  std::vector<std::vector<std::uint64_t>> blocks;
  for (int i = 0; i < threads; i++) blocks.emplace_back(kWords, static_cast<std::uint64_t>(i + 1));
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(threads));
  const double seconds =
      best_of(5, [&] { return seconds_on(threads, [&](std::size_t i) { sums[i] = read_all(blocks[i]); }); });
  if (std::all_of(sums.begin(), sums.end(), [](auto s) { return s == 1; })) std::puts("");  // keeps the loop
  return static_cast<double>(threads) * kWords * 8 / seconds * 1e-9;
}

#if defined(__x86_64__)
constexpr std::int64_t kRounds = 20'000'000;
constexpr double kOpsARound = 10.0 * 64 * 2;  // ten products of 64 pairs, and their sums

/// Ten independent sums, so that the latency of one is hidden.
void int8_loop() {
  asm volatile(
      "mov %0, %%rcx\n"
      "1:\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm0\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm1\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm2\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm3\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm4\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm5\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm6\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm7\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm8\n"
      "vpdpbusd %%zmm30, %%zmm31, %%zmm9\n"
      "dec %%rcx\n"
      "jnz 1b\n"
      "vzeroupper\n"
      :
      : "r"(kRounds)
      : "rcx", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9");
}

double int8_peak(int threads) {
  if (!__builtin_cpu_supports("avx512vnni")) return 0;
  const double seconds = best_of(3, [&] { return seconds_on(threads, [](std::size_t) { int8_loop(); }); });
  return threads * static_cast<double>(kRounds) * kOpsARound / seconds * 1e-9;
}
#else
double int8_peak(int /*threads*/) { return 0; }
#endif

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  if (threads < 1 || threads > 1024) {
    std::fprintf(stderr, "usage: limits [threads]\n");
    return 2;
  }
  std::printf("bandwidth_gb_s %.1f int8_gop_s %.0f\n", bandwidth(threads), int8_peak(threads));
  return 0;
}
