#include "engine/memory_budget.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

namespace glia::engine {

std::optional<MemoryBudget::Reservation> MemoryBudget::reserve(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ - used_) return std::nullopt;
  used_ += bytes;
  return Reservation(shared_from_this(), bytes);
}

bool MemoryBudget::Reservation::resize(std::size_t bytes) {
  const std::lock_guard lock(budget_->mutex_);
  if (bytes > bytes_ && bytes - bytes_ > budget_->limit_ - budget_->used_) return false;
  budget_->used_ = budget_->used_ - bytes_ + bytes;
  bytes_ = bytes;
  return true;
}

void MemoryBudget::Reservation::grow(std::size_t most) {
  const std::lock_guard lock(budget_->mutex_);
  if (most <= bytes_) return;
  const std::size_t more = std::min(most - bytes_, budget_->limit_ - budget_->used_);
  budget_->used_ += more;
  bytes_ += more;
}

std::size_t MemoryBudget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

void MemoryBudget::release(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
}

std::size_t machine_memory_bytes() {
  const auto pages = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES)));
  std::uint64_t bytes = pages * static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PAGESIZE)));
  for (const char* file : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::uint64_t limit = 0;
    if (std::ifstream in(file); in >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

}  // namespace glia::engine
