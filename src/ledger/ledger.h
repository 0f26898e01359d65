// Neurons: reservations, durable charges, usage. SQLite through store/; never a prompt or an answer.
//
// A charge is one row: request id, account, model, unix time, token counts, neurons. Writes of concurrent requests share
// one commit (group commit) by a writer thread. The day turns at 00:00 UTC.
// Thread rule: every method from any thread; durable callbacks come from the writer thread.
// Errors: open throws glia::Error(internal) for a database that cannot be used or an SQLite that is too old; reserve
// throws glia::Error(quota_exceeded) under plan `free` when used + reserved + estimate would pass the allocation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace glia::ledger {

enum class Plan { paid, free };

inline constexpr double kFreeNeuronsPerDay = 10'000;
inline constexpr double kDollarsPerNeuron = 0.011 / 1000;

struct Charge {
  std::string request_id;
  std::string account;
  std::string model;
  std::string task;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;
  double neurons = 0;
  bool stand_in = false;
};

struct UsageRow {
  std::string day;  ///< "2026-11-24", UTC
  std::string model;
  std::string task;
  std::int64_t calls = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  double neurons = 0;
  bool stand_in = false;
};

struct Options {
  std::filesystem::path path;   ///< empty: in memory
  Plan plan = Plan::paid;
};

class Ledger {
 public:
  static std::unique_ptr<Ledger> open(const Options& options, const Clock& clock);
  virtual ~Ledger() = default;
  /// Holds `neurons` for the request until settle or release.
  virtual void reserve(std::string_view request_id, std::string_view account, double neurons) = 0;
  /// Gives a reservation back without a charge.
  virtual void release(std::string_view request_id) = 0;
  /// Replaces the reservation by the charge; `durable` is called once it is on disk. A request id is charged once.
  virtual void settle(Charge charge, std::function<void()> durable) = 0;
  /// Rows by day, model and task, newest day first. Empty account: all.
  virtual std::vector<UsageRow> usage(std::string_view account, int days) = 0;
  /// Neurons charged to the account today.
  virtual double used_today(std::string_view account) = 0;
};

}  // namespace glia::ledger
