// The one door to SQLite: connection, statement, transaction, migration. No table of any feature is known here.
//
// A file is opened in WAL mode with synchronous=FULL: a committed transaction survives a crash of the process and of
// the machine. Other processes may read and write the same file; a writer waits for another up to the busy timeout.
// Errors: SqlError, a glia::Error(internal) whose text is SQLite's own general one ("database or disk is full"), never
// a path, a statement or a value. Ownership: a Statement and a Transaction must not outlive their Database. Thread
// rule: one thread at a time for a Database and what belongs to it; several Databases on one file may be used by
// several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace glia::store {

class SqlError : public Error {
 public:
  SqlError(std::string_view doing, int sqlite_code);
  /// SQLite's primary result code, e.g. 13 (SQLITE_FULL).
  int sqlite_code() const { return sqlite_code_; }

 private:
  int sqlite_code_;
};

/// One prepared statement, run again and again. Parameters are numbered from 1, columns from 0.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, double value);
  Statement& bind(int parameter, std::string_view value);
  Statement& bind(int parameter, std::nullptr_t);
  /// Borrowed: the bytes must stay as they are until the statement has run and something else is bound.
  Statement& bind(int parameter, std::span<const std::byte> bytes);

  /// The next row; false at the end, after which the statement is ready to be bound and run anew.
  bool step();
  /// Runs to the end, ignoring rows.
  void run();

  std::int64_t integer(int column) const;
  double number(int column) const;
  /// A copy; empty for NULL.
  std::string text(int column) const;
  /// The same without a copy: valid until the next step(), run() or bind().
  std::string_view text_view(int column) const;
  /// Valid until the next step(), run() or bind(); empty for NULL.
  std::span<const std::byte> blob(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}

  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

struct OpenOptions {
  std::filesystem::path path;   ///< empty: in memory
  bool read_only = false;       ///< the file must exist
  bool check_integrity = true;  ///< reads the whole file once
  int busy_timeout_ms = 5000;
  // Of a file that is made now:
  int page_bytes = 0;               ///< a power of two from 512 to 65536; 0: SQLite's own
  bool incremental_vacuum = false;  ///< PRAGMA incremental_vacuum gives room of deleted rows back to the system
};

class Database {
 public:
  /// Errors: SqlError when the file cannot be opened, is damaged ("the database file is damaged") or is no database;
  /// glia::Error(internal) when the SQLite linked in is older than 3.51.3.
  static Database open(const OpenOptions& options);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  Statement prepare(std::string_view sql);
  /// One or several statements without parameters or results.
  void execute(std::string_view sql);
  /// Rows changed by the last insert, update or delete.
  std::int64_t changes() const;

  /// Brings the schema to the newest version: step i takes it from version i to i + 1 (PRAGMA user_version), all in one
  /// transaction. Errors: a file of a version newer than this program knows is refused, untouched.
  void migrate(std::span<const std::string_view> steps);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit Database(sqlite3* db) : db_(db) {}
  std::unique_ptr<sqlite3, Close> db_;
};

/// Rolls back unless commit() was called and succeeded. Takes the write lock at once (BEGIN IMMEDIATE).
class Transaction {
 public:
  explicit Transaction(Database& db);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Database& db_;
  bool open_ = true;
};

/// "3.54.1"; and whether a version number (3051003 is 3.51.3) is new enough to keep what it commits.
std::string_view sqlite_version();
bool is_safe_sqlite(int version_number);

}  // namespace glia::store
