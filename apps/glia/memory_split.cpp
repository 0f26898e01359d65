#include "memory_split.h"

#include <algorithm>
#include <string>

#include "engine/memory_budget.h"

namespace glia::cli {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::uint64_t kLeastMiB = 128;
constexpr std::uint64_t kLeastVectorMiB = 16;
constexpr std::uint64_t kMostMiB = std::uint64_t{1} << 30;  // a pebibyte

}  // namespace

MemorySplit split_memory(const Settings& settings) {
  if (settings.memory_mib != 0 && (settings.memory_mib < kLeastMiB || settings.memory_mib > kMostMiB)) {
    throw UsageError("memory-mib is at least " + std::to_string(kLeastMiB) +
                     ", or 0 for three quarters of the machine; not " + std::to_string(settings.memory_mib));
  }
  if (settings.vector_memory_mib != 0 &&
      (settings.vector_memory_mib < kLeastVectorMiB || settings.vector_memory_mib > kMostMiB)) {
    throw UsageError("vector-memory-mib is at least " + std::to_string(kLeastVectorMiB) +
                     ", or 0 for three sixteenths of the machine; not " + std::to_string(settings.vector_memory_mib));
  }
  MemorySplit split;
  split.total = settings.memory_mib != 0 ? settings.memory_mib * kMiB : engine::machine_memory_bytes() / 4 * 3;
  split.vectors =
      settings.vector_memory_mib != 0 ? settings.vector_memory_mib * kMiB : engine::machine_memory_bytes() / 16 * 3;
  split.requests = std::clamp(split.total / 16, 16 * kMiB, 512 * kMiB);
  const std::size_t rest = kProgramBytes + split.requests;
  split.models = split.total > rest ? split.total - rest : kMiB;
  return split;
}

}  // namespace glia::cli
