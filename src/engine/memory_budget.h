// Bytes promised to models, against a fixed limit. A reservation is given back when it dies.
// Errors: none; a refusal is a return value. Thread rule: any thread. The budget outlives its reservations by sharing.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace glia::engine {

class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  class Reservation {
   public:
    Reservation(Reservation&& other) noexcept
        : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Reservation& operator=(Reservation&&) = delete;
    ~Reservation() {
      if (budget_) budget_->release(bytes_);
    }
    std::size_t bytes() const { return bytes_; }
    /// False, and nothing changes, when growing does not fit.
    bool resize(std::size_t bytes);
    /// Grows to `most` bytes or as far as the limit allows, at least to what it is.
    void grow(std::size_t most);

   private:
    friend class MemoryBudget;
    Reservation(std::shared_ptr<MemoryBudget> budget, std::size_t bytes) : budget_(std::move(budget)), bytes_(bytes) {}
    std::shared_ptr<MemoryBudget> budget_;
    std::size_t bytes_ = 0;
  };

  static std::shared_ptr<MemoryBudget> create(std::size_t limit) {
    return std::shared_ptr<MemoryBudget>(new MemoryBudget(limit));
  }

  std::optional<Reservation> reserve(std::size_t bytes);
  std::size_t limit() const { return limit_; }
  std::size_t used() const;

 private:
  explicit MemoryBudget(std::size_t limit) : limit_(limit) {}
  void release(std::size_t bytes);

  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::size_t used_ = 0;
};

/// What this process may use: physical memory or its control group's limit, the smaller.
std::size_t machine_memory_bytes();

}  // namespace glia::engine
