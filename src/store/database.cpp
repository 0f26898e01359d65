#include "store/database.h"

#include <sqlite3.h>

#include <utility>

#include "base/log.h"

namespace glia::store {
namespace {

constexpr int kOldestSafe = 3051003;  // older WAL code can lose a commit

int primary(int code) { return code & 0xFF; }

void check(int code, std::string_view doing) {
  if (code != SQLITE_OK) throw SqlError(doing, code);
}

}  // namespace

SqlError::SqlError(std::string_view doing, int sqlite_code)
    : Error(ErrorCode::internal, std::string(doing) + ": " + sqlite3_errstr(primary(sqlite_code))),
      sqlite_code_(primary(sqlite_code)) {}

Statement::Statement(Statement&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement& Statement::bind(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(statement_, parameter, value), "binding a parameter");
  return *this;
}

Statement& Statement::bind(int parameter, double value) {
  check(sqlite3_bind_double(statement_, parameter, value), "binding a parameter");
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  // A null pointer would bind NULL; an empty view is an empty text.
  const char* const data = value.data() != nullptr ? value.data() : "";
  check(sqlite3_bind_text64(statement_, parameter, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8),
        "binding a parameter");
  return *this;
}

Statement& Statement::bind(int parameter, std::nullptr_t) {
  check(sqlite3_bind_null(statement_, parameter), "binding a parameter");
  return *this;
}

Statement& Statement::bind(int parameter, std::span<const std::byte> bytes) {
  const void* const data = bytes.data() != nullptr ? static_cast<const void*>(bytes.data()) : "";
  check(sqlite3_bind_blob64(statement_, parameter, data, bytes.size(), SQLITE_STATIC), "binding a parameter");
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement_);
  if (code != SQLITE_DONE) throw SqlError("running a statement", code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::number(int column) const { return sqlite3_column_double(statement_, column); }
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const { return std::string(text_view(column)); }

std::string_view Statement::text_view(int column) const {
  const auto* const data = sqlite3_column_text(statement_, column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::byte> Statement::blob(int column) const {
  const void* const data = sqlite3_column_blob(statement_, column);
  if (data == nullptr) return {};
  return {static_cast<const std::byte*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Database Database::open(const OpenOptions& options) {
  if (!is_safe_sqlite(sqlite3_libversion_number())) {
    throw Error(ErrorCode::internal,
                "SQLite " + std::string(sqlite_version()) + " can lose commits; 3.51.3 or newer is needed");
  }
  sqlite3* handle = nullptr;
  const int flags =
      options.read_only ? SQLITE_OPEN_READONLY : static_cast<int>(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const std::string name = options.path.empty() ? ":memory:" : options.path.string();
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database db(handle);  // a handle may come with an error and must be closed
  check(code, "opening the database");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, options.busy_timeout_ms);
  db.execute("PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON");
  if (options.page_bytes > 0) db.execute("PRAGMA page_size=" + std::to_string(options.page_bytes));
  if (options.incremental_vacuum) db.execute("PRAGMA auto_vacuum=INCREMENTAL");
  if (!options.read_only && !options.path.empty()) db.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  if (options.check_integrity && !options.path.empty()) {
    auto quick_check = db.prepare("PRAGMA quick_check(1)");
    if (quick_check.step() && quick_check.text(0) != "ok")
      throw SqlError("the database file is damaged", SQLITE_CORRUPT);
  }
  return db;
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                      &statement, nullptr);
  if (code != SQLITE_OK) {
    log::debug("SQLite refused a statement", {{"reason", sqlite3_errmsg(db_.get())}});
    throw SqlError("preparing a statement", code);
  }
  return {db_.get(), statement};
}

void Database::execute(std::string_view sql) {
  const int code = sqlite3_exec(db_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    log::debug("SQLite refused a statement", {{"reason", sqlite3_errmsg(db_.get())}});
    throw SqlError("running a statement", code);
  }
}

std::int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }

void Database::migrate(std::span<const std::string_view> steps) {
  const auto version = [this] {
    auto query = prepare("PRAGMA user_version");
    return query.step() ? query.integer(0) : 0;
  };
  const auto newest = static_cast<std::int64_t>(steps.size());
  if (version() == newest) return;
  Transaction transaction(*this);
  const auto from = version();  // another process may have been here first
  if (from < 0 || from > newest) {
    throw Error(ErrorCode::internal, "the database has schema version " + std::to_string(from) +
                                         ", this program knows versions up to " + std::to_string(newest));
  }
  for (auto i = from; i < newest; ++i) execute(steps[static_cast<std::size_t>(i)]);
  execute("PRAGMA user_version=" + std::to_string(newest));
  transaction.commit();
}

Transaction::Transaction(Database& db) : db_(db) { db_.execute("BEGIN IMMEDIATE"); }

Transaction::~Transaction() {
  if (!open_) return;
  try {
    db_.execute("ROLLBACK");
  } catch (const Error&) {
    // SQLite has rolled back by itself (full disk, I/O error): there is no transaction left.
  }
}

void Transaction::commit() {
  db_.execute("COMMIT");
  open_ = false;
}

std::string_view sqlite_version() { return sqlite3_libversion(); }
bool is_safe_sqlite(int version_number) { return version_number >= kOldestSafe; }

}  // namespace glia::store
