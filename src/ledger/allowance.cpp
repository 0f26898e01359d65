#include "ledger/allowance.h"

#include <algorithm>

#include "base/error.h"

namespace glia::ledger {

void Allowance::preload(const std::string& name, std::int64_t micros) {
  const std::lock_guard lock(mutex_);
  account(name).used = micros;
}

Allowance::Account& Allowance::account(std::string_view name) {
  const auto it = accounts_.find(name);
  return it != accounts_.end() ? it->second : accounts_.emplace(name, Account{}).first->second;
}

void Allowance::turn_locked(std::int64_t today) {
  if (today <= day_) return;
  day_ = today;
  std::erase_if(accounts_, [](const auto& entry) { return entry.second.reserved == 0; });
  for (auto& [name, a] : accounts_) a.used = 0;
}

void Allowance::reserve(std::string_view request_id, std::string_view name, std::int64_t micros,
                        std::optional<std::int64_t> limit, std::int64_t today, std::int64_t ms_to_midnight) {
  const std::lock_guard lock(mutex_);
  turn_locked(today);
  release_locked(request_id);
  auto& a = account(name);
  if (limit && a.used + a.reserved + micros > *limit) {
    Error error(ErrorCode::quota_exceeded);
    error.retry_after_s = static_cast<int>((ms_to_midnight + 999) / 1000);
    throw error;
  }
  a.reserved += micros;
  reservations_.emplace(request_id, Reservation{std::string(name), micros});
}

void Allowance::release_locked(std::string_view request_id) {
  const auto it = reservations_.find(request_id);
  if (it == reservations_.end()) return;
  account(it->second.account).reserved -= it->second.micros;
  reservations_.erase(it);
}

void Allowance::release(std::string_view request_id) {
  const std::lock_guard lock(mutex_);
  release_locked(request_id);
}

void Allowance::charged(std::span<const std::string_view> request_ids, std::span<const Used> used, std::int64_t today) {
  const std::lock_guard lock(mutex_);
  turn_locked(today);
  for (const auto id : request_ids) release_locked(id);
  for (const auto& sum : used) {
    if (sum.day != day_) continue;  // the day turned while it was being written
    auto& a = account(sum.account);
    a.used = std::max(a.used, sum.micros);  // sums only grow
  }
}

std::int64_t Allowance::turn(std::int64_t today) {
  const std::lock_guard lock(mutex_);
  turn_locked(today);
  return day_;
}

std::int64_t Allowance::used(std::string_view name, std::int64_t today) {
  const std::lock_guard lock(mutex_);
  turn_locked(today);
  const auto it = accounts_.find(name);
  return it == accounts_.end() ? 0 : it->second.used;
}

}  // namespace glia::ledger
