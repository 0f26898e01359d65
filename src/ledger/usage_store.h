// The ledger's tables: one row per charge, and the sums per day that reports and the allowance read.
// Thread rule and errors: as store::Database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"
#include "store/database.h"

namespace glia::ledger {

/// Millionths of a neuron, rounded to nearest. Not finite or negative counts as 0; at most 10^15.
std::int64_t to_micros(double neurons);
double to_neurons(std::int64_t micros);

class UsageStore {
 public:
  /// Brings the tables to the newest version.
  static UsageStore create(const std::filesystem::path& path);
  /// A file that exists, without writing to it.
  static UsageStore read_only(const std::filesystem::path& path);

  store::Database& database() { return db_; }
  /// False when the request id was charged before: nothing is changed. Within the caller's transaction.
  bool add(const Charge& charge, std::int64_t micros, std::int64_t day, std::int64_t unix_ms);
  std::vector<UsageRow> usage(std::string_view account, std::int64_t first_day);
  /// Micros by account.
  std::map<std::string, std::int64_t> used_on(std::int64_t day);
  /// Micros of one account. Within the caller's transaction it sees that transaction's charges.
  std::int64_t used_on(std::int64_t day, std::string_view account);
  /// Deletes single charges of days before `first_day`; the sums stay. At most `rows` at a time: true when there may be
  /// more.
  bool prune(std::int64_t first_day, std::int64_t rows);

 private:
  explicit UsageStore(store::Database db);

  store::Database db_;
  store::Statement insert_;
  store::Statement add_to_day_;
  store::Statement used_;
};

}  // namespace glia::ledger
