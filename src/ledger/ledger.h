// Neurons: reservations, durable charges, usage. SQLite through store/; never a prompt or an answer.
//
// A charge is one row: request id, account, model, task, unix time, token counts, neurons. Neurons are kept as whole
// millionths: a charge is rounded once, when it is settled, and sums are exact from there on. (Prices are whole neurons
// per million tokens, so a token's price is a whole number of millionths and nothing is rounded at all.)
// Writes of concurrent requests share one commit (group commit) by a writer thread; a lone one is committed at once.
// The day turns at 00:00 UTC; a charge belongs to the day in which it is settled.
// Under plan `free` the limit is exact within one process: what is charged and what is reserved never passes it. What
// another process charges on the same file counts from this one's next charge of the account on.
// Single charges are kept for kChargeDays, the sums by day for ever.
// Thread rule: every method from any thread; settled callbacks come from the writer thread and must not block.
// Errors: open throws glia::Error(internal) for a database that cannot be used or an SQLite that is too old; reserve
// throws glia::Error(quota_exceeded) under plan `free` when used + reserved + estimate would pass the allocation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace glia::ledger {

enum class Plan { paid, free };

inline constexpr double kFreeNeuronsPerDay = 10'000;
inline constexpr int kChargeDays = 40;

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
  std::filesystem::path path;  ///< empty: in memory
  Plan plan = Plan::paid;      ///< of a reservation that names none
};

/// Null: the charge is on disk. Otherwise why it could not be written (full disk, read-only file).
using Settled = std::function<void(const Error* error)>;

class Ledger {
 public:
  static std::unique_ptr<Ledger> open(const Options& options, const Clock& clock);
  /// Writes what is still queued.
  virtual ~Ledger() = default;
  /// Holds `neurons` for the request until settle or release. A second reserve of the same request replaces the first.
  /// `plan`: instead of the ledger's own. Under `free` whatever the account used today counts, under which plan ever.
  virtual void reserve(std::string_view request_id, std::string_view account, double neurons,
                       std::optional<Plan> plan = {}) = 0;
  /// Gives a reservation back without a charge.
  virtual void release(std::string_view request_id) = 0;
  /// Replaces the reservation by the charge; `settled` is called once the charge is on disk, or cannot be written. A
  /// request id is charged once: a second settle of it changes nothing and reports success.
  virtual void settle(Charge charge, Settled settled) = 0;
  /// Rows by day, model and task, newest day first. Empty account: all. `days`: today and the days before it.
  virtual std::vector<UsageRow> usage(std::string_view account, int days) = 0;
  /// Neurons charged to the account today.
  virtual double used_today(std::string_view account) = 0;
  /// Transactions that carried charges so far, failed ones too: fewer than the charges where some shared one.
  virtual std::uint64_t commits() const = 0;
};

/// Rows of a ledger that another process may be writing, without becoming a writer. Errors: as Ledger::open.
std::vector<UsageRow> read_usage(const std::filesystem::path& path, const Clock& clock, std::string_view account,
                                 int days);

}  // namespace glia::ledger
