// What the indexes in memory take together, and how much of it each.
// Thread rule: any thread. Ownership: a Charge does not outlive its MemoryUse.
#pragma once

#include <atomic>
#include <cstddef>

namespace glia::vectorize {

class MemoryUse {
 public:
  /// `limit` in bytes; 0: none.
  explicit MemoryUse(std::size_t limit) : limit_(limit) {}

  std::size_t limit() const { return limit_; }
  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  /// Whether `more` would still be within the limit.
  bool has_room(std::size_t more) const { return limit_ == 0 || (more <= limit_ && used() <= limit_ - more); }

  /// The part of one index, given back with the object. set() from one thread at a time.
  class Charge {
   public:
    explicit Charge(MemoryUse& use) : use_(use) {}
    ~Charge() { set(0); }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    void set(std::size_t bytes) {
      use_.used_ += bytes - bytes_.exchange(bytes);  // wraps and comes back where it is less
    }
    std::size_t bytes() const { return bytes_; }

   private:
    MemoryUse& use_;
    std::atomic<std::size_t> bytes_{0};
  };

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace glia::vectorize
