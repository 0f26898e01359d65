#include "ledger/usage_store.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "ledger/days.h"

namespace glia::ledger {
namespace {

constexpr std::array<std::string_view, 2> kMigrations = {R"sql(
CREATE TABLE charges(
  request_id TEXT PRIMARY KEY,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  task TEXT NOT NULL,
  day INTEGER NOT NULL,        -- days since 1970-01-01, UTC
  unix_ms INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  micros INTEGER NOT NULL,     -- millionths of a neuron
  stand_in INTEGER NOT NULL
) STRICT;
CREATE TABLE days(
  day INTEGER NOT NULL,
  account TEXT NOT NULL,
  model TEXT NOT NULL,
  task TEXT NOT NULL,
  stand_in INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  micros INTEGER NOT NULL,
  PRIMARY KEY(day, account, model, task, stand_in)
) STRICT, WITHOUT ROWID;
)sql",
                                                         "CREATE INDEX charges_by_day ON charges(day);"};

constexpr std::string_view kInsert =
    "INSERT INTO charges(request_id, account, model, task, day, unix_ms, prompt_tokens, completion_tokens, "
    "cached_tokens, micros, stand_in) VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(request_id) DO NOTHING";
constexpr std::string_view kAddToDay =
    "INSERT INTO days(day, account, model, task, stand_in, calls, prompt_tokens, completion_tokens, micros) "
    "VALUES(?,?,?,?,?,1,?,?,?) ON CONFLICT DO UPDATE SET calls = calls + 1, "
    "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
    "completion_tokens = completion_tokens + excluded.completion_tokens, micros = micros + excluded.micros";
constexpr std::string_view kUsage =
    "SELECT day, model, task, stand_in, sum(calls), sum(prompt_tokens), sum(completion_tokens), sum(micros) AS total "
    "FROM days WHERE day >= ?1 AND (?2 = '' OR account = ?2) GROUP BY day, model, task, stand_in "
    "ORDER BY day DESC, total DESC, model, stand_in";

constexpr std::string_view kUsed = "SELECT coalesce(sum(micros), 0) FROM days WHERE day = ? AND account = ?";

store::Database migrated(const std::filesystem::path& path) {
  auto db = store::Database::open({.path = path});
  db.migrate(kMigrations);
  return db;
}

}  // namespace

std::int64_t to_micros(double neurons) {
  if (!(neurons > 0)) return 0;
  return static_cast<std::int64_t>(std::llround(std::min(neurons, 1e9) * 1e6));
}

double to_neurons(std::int64_t micros) { return static_cast<double>(micros) / 1e6; }

UsageStore::UsageStore(store::Database db)
    : db_(std::move(db)),
      insert_(db_.prepare(kInsert)),
      add_to_day_(db_.prepare(kAddToDay)),
      used_(db_.prepare(kUsed)) {}

UsageStore UsageStore::create(const std::filesystem::path& path) { return UsageStore(migrated(path)); }

UsageStore UsageStore::read_only(const std::filesystem::path& path) {
  return UsageStore(store::Database::open({.path = path, .read_only = true, .check_integrity = false}));
}

bool UsageStore::add(const Charge& c, std::int64_t micros, std::int64_t day, std::int64_t unix_ms) {
  const std::int64_t stand_in = c.stand_in ? 1 : 0;
  insert_.bind(1, c.request_id).bind(2, c.account).bind(3, c.model).bind(4, c.task).bind(5, day).bind(6, unix_ms);
  insert_.bind(7, c.prompt_tokens).bind(8, c.completion_tokens).bind(9, c.cached_tokens).bind(10, micros);
  insert_.bind(11, stand_in).run();
  if (db_.changes() == 0) return false;
  add_to_day_.bind(1, day).bind(2, c.account).bind(3, c.model).bind(4, c.task).bind(5, stand_in);
  add_to_day_.bind(6, c.prompt_tokens).bind(7, c.completion_tokens).bind(8, micros).run();
  return true;
}

std::vector<UsageRow> UsageStore::usage(std::string_view account, std::int64_t first_day) {
  auto query = db_.prepare(kUsage);
  query.bind(1, first_day).bind(2, account);
  std::vector<UsageRow> rows;
  while (query.step()) {
    UsageRow row;
    row.day = day_text(query.integer(0));
    row.model = query.text(1);
    row.task = query.text(2);
    row.stand_in = query.integer(3) != 0;
    row.calls = query.integer(4);
    row.prompt_tokens = query.integer(5);
    row.completion_tokens = query.integer(6);
    row.neurons = to_neurons(query.integer(7));
    rows.push_back(std::move(row));
  }
  return rows;
}

std::map<std::string, std::int64_t> UsageStore::used_on(std::int64_t day) {
  auto query = db_.prepare("SELECT account, sum(micros) FROM days WHERE day = ? GROUP BY account");
  query.bind(1, day);
  std::map<std::string, std::int64_t> used;
  while (query.step()) used.emplace(query.text(0), query.integer(1));
  return used;
}

std::int64_t UsageStore::used_on(std::int64_t day, std::string_view account) {
  used_.bind(1, day).bind(2, account);
  const std::int64_t micros = used_.step() ? used_.integer(0) : 0;
  while (used_.step()) {
  }
  return micros;
}

bool UsageStore::prune(std::int64_t first_day, std::int64_t rows) {
  auto erase = db_.prepare("DELETE FROM charges WHERE rowid IN (SELECT rowid FROM charges WHERE day < ?1 LIMIT ?2)");
  erase.bind(1, first_day).bind(2, rows).run();
  return db_.changes() == rows;
}

}  // namespace glia::ledger
