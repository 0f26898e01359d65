// Indexes, their mutation log and their vectors on disk: the durable truth.
//
// A mutation is one row of `mutations` and one row of `entries` per vector; once those are committed it is kept. A
// vector's entry number is its index's number << kEntryBits plus a count that never repeats, so an index's vectors lie
// together, in the order of their writing. When a mutation has been applied in memory it is settled: entries that are
// found no more and the mutation's own row go, in one transaction. So what is left, applied in order, is always the
// same index. Thread rule: writing calls from one thread (commit_queue.h); reading calls from any.
// Errors: store::SqlError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/database.h"
#include "vectorize/mutation.h"
#include "vectorize/types.h"

namespace glia::vectorize {

inline constexpr int kEntryBits = 40;

struct IndexRow {
  std::int64_t number = 0;
  std::string account;
  IndexEntry entry;
  std::string settled_mutation;
  std::int64_t settled_ms = 0;
};

class LogStore {
 public:
  /// Empty path: in memory.
  explicit LogStore(const std::filesystem::path& path);

  // Writing, within begin() and commit().
  void begin();
  void commit();
  void roll_back();
  /// Runs `work`; what it throws undoes what it wrote, and nothing else.
  void in_savepoint(const std::function<void()>& work);

  /// The number; nothing where the account has an index of that name.
  std::optional<std::int64_t> create(const std::string& account, const IndexEntry& entry);
  /// What is in it goes piece by piece: sweep().
  void drop(std::int64_t number);
  /// Fills in seq and first_entry, and writes.
  void append(std::int64_t number, Mutation& mutation);
  void add_property(std::int64_t number, const MetadataIndex& index, std::int64_t since_entry);
  void remove_property(std::int64_t number, const std::string& property);
  /// Mutations up to `upto` are applied, entries `dead` are found no more.
  void settle(std::int64_t number, const Mutation& upto, std::span<const std::int64_t> dead);
  /// Deletes a piece of what dropped indexes have left. False: nothing is left.
  bool sweep();
  /// Outside a transaction: moves what is committed from the WAL into the file, which shrinks after a sweep.
  void checkpoint();

  // Reading what is committed.
  std::vector<IndexRow> indexes();
  /// With the entry from which each covers.
  std::vector<std::pair<MetadataIndex, std::int64_t>> properties(std::int64_t number);
  /// The entry that the next vector will have.
  std::int64_t next_entry(std::int64_t number);
  std::vector<Mutation> mutations(std::int64_t number);
  /// Vectors of entries [from, to) in order.
  void for_each_entry(std::int64_t number, std::int64_t from, std::int64_t to,
                      const std::function<void(std::int64_t entry, Vector&& vector)>& body);
  /// Compact JSON; empty: none, or no such entry.
  std::string metadata(std::int64_t entry);

 private:
  struct Reading {
    store::Database& db;
    std::unique_lock<std::mutex> lock;
  };
  Reading reading();

  const std::filesystem::path path_;
  std::mutex write_mutex_;  ///< held from begin() to the end of the transaction
  store::Database write_;
  std::mutex read_mutex_;
  std::optional<store::Database> read_;  ///< none in memory
  std::optional<store::Statement> insert_entry_, insert_mutation_, take_entries_, delete_entry_, metadata_;
};

}  // namespace glia::vectorize
