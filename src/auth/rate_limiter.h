// Requests of an account within the last minute, by what the service counts together (catalog/rate_limits.h). Only
// clients that asked for it are limited: who passes through here is the caller's business.
//
// A sliding minute: the limit's worth of requests may fall into any 60 s, the next waits until the oldest is a minute
// old. Bounds: kMaxCounters; past it the one longest idle is forgotten.
// Thread rule: every method from any thread. Errors: admit throws glia::Error(rate_limited) with retry_after_s.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "catalog/rate_limits.h"

namespace glia::auth {

class RateLimiter {
 public:
  static constexpr std::size_t kMaxCounters = 4096;

  RateLimiter(catalog::RateLimits limits, const Clock& clock) : limits_(std::move(limits)), clock_(clock) {}

  /// Counts a request, or refuses it. A task without a published limit is never refused.
  void admit(std::string_view account, const catalog::ModelEntry& entry);

 private:
  using Key = std::pair<std::string, std::string>;  ///< account, what is counted
  struct Counter {
    std::deque<std::int64_t> times_ns;  ///< of the last minute, ascending
    std::list<const Key*>::iterator age;
  };

  Counter& counter(Key key);

  const catalog::RateLimits limits_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<Key, Counter> counters_;
  std::list<const Key*> by_use_;  ///< longest idle first
};

}  // namespace glia::auth
