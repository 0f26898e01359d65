#include "auth/rate_limiter.h"

#include "base/error.h"

namespace glia::auth {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kMinuteNs = 60 * kSecondNs;

}  // namespace

RateLimiter::Counter& RateLimiter::counter(Key key) {
  if (const auto it = counters_.find(key); it != counters_.end()) {
    by_use_.splice(by_use_.end(), by_use_, it->second.age);
    return it->second;
  }
  if (counters_.size() >= kMaxCounters) {
    const Key idle = *by_use_.front();
    by_use_.pop_front();
    counters_.erase(idle);
  }
  const auto it = counters_.emplace(std::move(key), Counter{}).first;
  it->second.age = by_use_.insert(by_use_.end(), &it->first);
  return it->second;
}

void RateLimiter::admit(std::string_view account, const catalog::ModelEntry& entry) {
  const auto limit = limits_.of(entry);
  if (!limit) return;
  const std::lock_guard lock(mutex_);
  const std::int64_t now = clock_.steady_ns();
  auto& times = counter({std::string(account), limit->counted}).times_ns;
  while (!times.empty() && now - times.front() >= kMinuteNs) times.pop_front();
  if (times.size() >= static_cast<std::size_t>(limit->per_minute)) {
    Error error(ErrorCode::rate_limited,
                std::to_string(limit->per_minute) + " requests a minute for " + limit->counted);
    error.retry_after_s = static_cast<int>((times.front() + kMinuteNs - now + kSecondNs - 1) / kSecondNs);
    throw error;
  }
  times.push_back(now);
}

}  // namespace glia::auth
