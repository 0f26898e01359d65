// What each account has used today and holds in reservations, in millionths of a neuron.
// Thread rule: safe from any thread. Errors: reserve throws glia::Error(quota_exceeded).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace glia::ledger {

class Allowance {
 public:
  /// `today` as days.h counts.
  explicit Allowance(std::int64_t today) : day_(today) {}

  /// At start: what the accounts have used so far on the day given to the constructor.
  void preload(const std::string& account, std::int64_t micros);

  /// `limit`: most that used and reserved may be together; none: no limit.
  void reserve(std::string_view request_id, std::string_view account, std::int64_t micros,
               std::optional<std::int64_t> limit, std::int64_t today, std::int64_t ms_to_midnight);
  /// Ends a reservation; nothing when there is none.
  void release(std::string_view request_id);
  /// What an account has used on a day, in all.
  struct Used {
    std::int64_t day = 0;
    std::string account;
    std::int64_t micros = 0;
  };
  /// The requests' charges are on disk (or lost: then no sum has changed), and `used` holds the sums with them: ends
  /// the reservations and takes the sums over in one step, so that nothing counts twice or not at all in between.
  void charged(std::span<const std::string_view> request_ids, std::span<const Used> used, std::int64_t today);
  std::int64_t used(std::string_view account, std::int64_t today);
  /// Turns the day where `today` is a later one; returns the day it is. A clock that was set back does not go back.
  std::int64_t turn(std::int64_t today);

 private:
  struct Account {
    std::int64_t used = 0;
    std::int64_t reserved = 0;
  };
  struct Reservation {
    std::string account;
    std::int64_t micros = 0;
  };
  void turn_locked(std::int64_t today);
  Account& account(std::string_view name);
  void release_locked(std::string_view request_id);

  std::mutex mutex_;
  std::int64_t day_;
  std::map<std::string, Account, std::less<>> accounts_;
  std::map<std::string, Reservation, std::less<>> reservations_;
};

}  // namespace glia::ledger
