#include "vectorize/log_store.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/json.h"
#include "vectorize/compact_json.h"

namespace glia::vectorize {
namespace {

constexpr int kPageBytes = 16'384;
constexpr std::int64_t kSweptAtOnce = 500;

constexpr std::array<std::string_view, 1> kMigrations = {R"sql(
CREATE TABLE indexes(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  dimensions INTEGER NOT NULL,
  metric TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  next_entry INTEGER NOT NULL,       -- never given twice
  settled_mutation TEXT NOT NULL,    -- the newest one whose row in mutations is gone
  settled_ms INTEGER NOT NULL,
  UNIQUE(account, name)
) STRICT;
CREATE TABLE properties(
  index_number INTEGER NOT NULL,
  property TEXT NOT NULL,
  type TEXT NOT NULL,
  since_entry INTEGER NOT NULL,
  PRIMARY KEY(index_number, property)
) STRICT, WITHOUT ROWID;
CREATE TABLE mutations(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  index_number INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  accepted_ms INTEGER NOT NULL,
  first_entry INTEGER NOT NULL,
  entries INTEGER NOT NULL,
  detail TEXT NOT NULL               -- JSON: ids that are removed, or a property
) STRICT;
CREATE INDEX mutations_by_index ON mutations(index_number, seq);
CREATE TABLE entries(
  entry INTEGER PRIMARY KEY,         -- the index's number << 40, plus a count
  id TEXT NOT NULL,
  namespace TEXT,
  metadata TEXT,
  vector BLOB NOT NULL               -- float32, little-endian
) STRICT;
CREATE TABLE dropped(number INTEGER PRIMARY KEY) STRICT;
)sql"};

store::Database opened(const std::filesystem::path& path, bool read_only) {
  return store::Database::open({.path = path,
                                .read_only = read_only,
                                .check_integrity = false,  // reading gigabytes at every start helps nobody
                                .page_bytes = kPageBytes,
                                .incremental_vacuum = !read_only});
}

std::string detail_of(const Mutation& mutation) {
  json::array list;
  if (mutation.kind == MutationKind::remove) {
    for (const auto& id : mutation.ids) list.emplace_back(id);
  } else if (mutation.kind == MutationKind::add_property || mutation.kind == MutationKind::remove_property) {
    list.emplace_back(mutation.property.property);
    list.emplace_back(type_name(mutation.property.type));
  }
  return compact_json(list);
}

/// Errors: glia::Error for a file that somebody else wrote into.
void read_detail(std::string_view text, Mutation& mutation) {
  const json::value detail = parse_json(text);
  if (!detail.is_array()) throw Error(ErrorCode::internal, "the vector database is damaged");
  std::vector<std::string> texts;
  for (const auto& item : detail.get_array()) {
    if (item.is_string()) texts.emplace_back(item.get_string());
  }
  if (mutation.kind == MutationKind::remove) mutation.ids = std::move(texts);
  if (mutation.kind == MutationKind::add_property || mutation.kind == MutationKind::remove_property) {
    if (texts.size() != 2) throw Error(ErrorCode::internal, "the vector database is damaged");
    mutation.property = {texts[0], type_of(texts[1]).value_or(PropertyType::string)};
  }
}

}  // namespace

LogStore::LogStore(const std::filesystem::path& path) : path_(path), write_(opened(path, false)) {
  write_.migrate(kMigrations);
  if (!path.empty()) read_.emplace(opened(path, true));
  insert_entry_.emplace(
      write_.prepare("INSERT INTO entries(entry, id, namespace, metadata, vector) VALUES(?,?,?,?,?)"));
  insert_mutation_.emplace(
      write_.prepare("INSERT INTO mutations(index_number, id, kind, accepted_ms, first_entry, entries, detail) "
                     "VALUES(?,?,?,?,?,?,?) RETURNING seq"));
  take_entries_.emplace(
      write_.prepare("UPDATE indexes SET next_entry = next_entry + ? WHERE number = ? RETURNING next_entry"));
  delete_entry_.emplace(write_.prepare("DELETE FROM entries WHERE entry = ?"));
  metadata_.emplace((read_ ? *read_ : write_).prepare("SELECT metadata FROM entries WHERE entry = ?"));
}

void LogStore::begin() {
  write_mutex_.lock();
  try {
    write_.execute("BEGIN IMMEDIATE");
  } catch (...) {
    write_mutex_.unlock();
    throw;
  }
}

void LogStore::commit() {
  write_.execute("COMMIT");
  write_mutex_.unlock();
}

void LogStore::roll_back() {
  try {
    write_.execute("ROLLBACK");
  } catch (const Error&) {
    // SQLite has rolled back by itself (full disk, I/O error): there is no transaction left.
  }
  write_mutex_.unlock();
}

void LogStore::in_savepoint(const std::function<void()>& work) {
  write_.execute("SAVEPOINT one");
  try {
    work();
  } catch (const store::SqlError&) {
    throw;  // the whole transaction may be gone
  } catch (...) {
    write_.execute("ROLLBACK TO one; RELEASE one");
    throw;
  }
  write_.execute("RELEASE one");
}

std::optional<std::int64_t> LogStore::create(const std::string& account, const IndexEntry& entry) {
  auto insert = write_.prepare(
      "INSERT INTO indexes(account, name, description, dimensions, metric, created_ms, modified_ms, next_entry, "
      "settled_mutation, settled_ms) VALUES(?,?,?,?,?,?,?,0,'',0) ON CONFLICT DO NOTHING RETURNING number");
  insert.bind(1, std::string_view(account)).bind(2, std::string_view(entry.name));
  entry.description ? insert.bind(3, std::string_view(*entry.description)) : insert.bind(3, nullptr);
  insert.bind(4, std::int64_t{entry.config.dimensions}).bind(5, metric_name(entry.config.metric));
  insert.bind(6, entry.created_ms).bind(7, entry.modified_ms);
  if (!insert.step()) return std::nullopt;
  const std::int64_t number = insert.integer(0);
  insert.run();
  auto first = write_.prepare("UPDATE indexes SET next_entry = ? WHERE number = ?");
  first.bind(1, number << kEntryBits).bind(2, number).run();
  return number;
}

void LogStore::drop(std::int64_t number) {
  for (const std::string_view sql :
       {"DELETE FROM indexes WHERE number = ?", "DELETE FROM properties WHERE index_number = ?",
        "DELETE FROM mutations WHERE index_number = ?", "INSERT INTO dropped(number) VALUES(?)"}) {
    write_.prepare(sql).bind(1, number).run();
  }
}

void LogStore::append(std::int64_t number, Mutation& mutation) {
  mutation.entries = static_cast<std::int64_t>(mutation.vectors.size());
  take_entries_->bind(1, mutation.entries).bind(2, number);
  if (!take_entries_->step()) throw Error(ErrorCode::vectorize_index_not_found);
  mutation.first_entry = take_entries_->integer(0) - mutation.entries;
  take_entries_->run();
  std::int64_t entry = mutation.first_entry;
  for (auto& [its_entry, vector] : mutation.vectors) {
    its_entry = entry++;
    insert_entry_->bind(1, its_entry).bind(2, std::string_view(vector.id));
    vector.ns ? insert_entry_->bind(3, std::string_view(*vector.ns)) : insert_entry_->bind(3, nullptr);
    vector.metadata.empty() ? insert_entry_->bind(4, nullptr)
                            : insert_entry_->bind(4, std::string_view(vector.metadata));
    insert_entry_->bind(5, std::as_bytes(std::span(vector.values))).run();
  }
  const std::string detail = detail_of(mutation);
  insert_mutation_->bind(1, number).bind(2, std::string_view(mutation.id));
  insert_mutation_->bind(3, static_cast<std::int64_t>(mutation.kind)).bind(4, mutation.accepted_ms);
  insert_mutation_->bind(5, mutation.first_entry).bind(6, mutation.entries).bind(7, std::string_view(detail));
  insert_mutation_->step();
  mutation.seq = insert_mutation_->integer(0);
  insert_mutation_->run();
}

void LogStore::add_property(std::int64_t number, const MetadataIndex& index, std::int64_t since_entry) {
  auto insert = write_.prepare("INSERT OR REPLACE INTO properties VALUES(?,?,?,?)");
  insert.bind(1, number).bind(2, std::string_view(index.property)).bind(3, type_name(index.type));
  insert.bind(4, since_entry).run();
}

void LogStore::remove_property(std::int64_t number, const std::string& property) {
  auto remove = write_.prepare("DELETE FROM properties WHERE index_number = ? AND property = ?");
  remove.bind(1, number).bind(2, std::string_view(property)).run();
}

void LogStore::settle(std::int64_t number, const Mutation& upto, std::span<const std::int64_t> dead) {
  for (const std::int64_t entry : dead) delete_entry_->bind(1, entry).run();
  write_.prepare("DELETE FROM mutations WHERE index_number = ? AND seq <= ?").bind(1, number).bind(2, upto.seq).run();
  auto update = write_.prepare("UPDATE indexes SET settled_mutation = ?, settled_ms = ? WHERE number = ?");
  update.bind(1, std::string_view(upto.id)).bind(2, upto.accepted_ms).bind(3, number).run();
}

bool LogStore::sweep() {
  auto query = write_.prepare("SELECT number FROM dropped LIMIT 1");
  if (!query.step()) return false;
  const std::int64_t number = query.integer(0);
  query.run();
  auto remove = write_.prepare(
      "DELETE FROM entries WHERE entry IN (SELECT entry FROM entries WHERE entry >= ? AND entry < ? LIMIT ?)");
  remove.bind(1, number << kEntryBits).bind(2, (number + 1) << kEntryBits).bind(3, kSweptAtOnce).run();
  if (write_.changes() < kSweptAtOnce) write_.prepare("DELETE FROM dropped WHERE number = ?").bind(1, number).run();
  write_.prepare("PRAGMA incremental_vacuum(2000)").run();
  return true;
}

void LogStore::checkpoint() { write_.execute("PRAGMA wal_checkpoint(TRUNCATE)"); }

LogStore::Reading LogStore::reading() {
  if (read_) return {*read_, std::unique_lock(read_mutex_)};
  return {write_, std::unique_lock(write_mutex_)};
}

std::vector<IndexRow> LogStore::indexes() {
  const auto [db, lock] = reading();
  std::vector<IndexRow> rows;
  auto query = db.prepare(
      "SELECT number, account, name, description, dimensions, metric, created_ms, modified_ms, settled_mutation, "
      "settled_ms FROM indexes ORDER BY number");
  while (query.step()) {
    IndexRow row;
    row.number = query.integer(0);
    row.account = query.text(1);
    row.entry.name = query.text(2);
    if (!query.is_null(3)) row.entry.description = query.text(3);
    row.entry.config = {static_cast<std::int32_t>(query.integer(4)),
                        metric_of(query.text_view(5)).value_or(Metric::cosine)};
    row.entry.created_ms = query.integer(6);
    row.entry.modified_ms = query.integer(7);
    row.settled_mutation = query.text(8);
    row.settled_ms = query.integer(9);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<std::pair<MetadataIndex, std::int64_t>> LogStore::properties(std::int64_t number) {
  const auto [db, lock] = reading();
  std::vector<std::pair<MetadataIndex, std::int64_t>> out;
  auto query =
      db.prepare("SELECT property, type, since_entry FROM properties WHERE index_number = ? ORDER BY property");
  query.bind(1, number);
  while (query.step()) {
    out.push_back({{query.text(0), type_of(query.text_view(1)).value_or(PropertyType::string)}, query.integer(2)});
  }
  return out;
}

std::int64_t LogStore::next_entry(std::int64_t number) {
  const auto [db, lock] = reading();
  auto query = db.prepare("SELECT next_entry FROM indexes WHERE number = ?");
  query.bind(1, number);
  return query.step() ? query.integer(0) : 0;
}

std::vector<Mutation> LogStore::mutations(std::int64_t number) {
  const auto [db, lock] = reading();
  std::vector<Mutation> out;
  auto query = db.prepare(
      "SELECT seq, id, kind, accepted_ms, first_entry, entries, detail FROM mutations WHERE index_number = ? "
      "ORDER BY seq");
  query.bind(1, number);
  while (query.step()) {
    Mutation m;
    m.seq = query.integer(0);
    m.id = query.text(1);
    m.kind = static_cast<MutationKind>(query.integer(2));
    m.accepted_ms = query.integer(3);
    m.first_entry = query.integer(4);
    m.entries = query.integer(5);
    read_detail(query.text_view(6), m);
    out.push_back(std::move(m));
  }
  return out;
}

void LogStore::for_each_entry(std::int64_t number, std::int64_t from, std::int64_t to,
                              const std::function<void(std::int64_t, Vector&&)>& body) {
  // By a connection of its own where that can be: gigabytes, which nobody else's reading is to wait for.
  std::optional<store::Database> own;
  std::optional<Reading> shared;
  if (path_.empty()) {
    shared.emplace(reading());
  } else {
    own.emplace(opened(path_, true));
  }
  auto query = (own ? *own : shared->db)
                   .prepare(
                       "SELECT entry, id, namespace, metadata, vector FROM entries WHERE entry >= ? AND entry < ? "
                       "ORDER BY entry");
  query.bind(1, std::max(from, number << kEntryBits)).bind(2, std::min(to, (number + 1) << kEntryBits));
  while (query.step()) {
    Vector vector;
    vector.id = query.text(1);
    if (!query.is_null(2)) vector.ns = query.text(2);
    vector.metadata = query.text(3);
    const auto blob = query.blob(4);
    vector.values.resize(blob.size() / sizeof(float));
    std::memcpy(vector.values.data(), blob.data(), vector.values.size() * sizeof(float));
    body(query.integer(0), std::move(vector));
  }
}

std::string LogStore::metadata(std::int64_t entry) {
  const auto [db, lock] = reading();
  metadata_->bind(1, entry);
  if (!metadata_->step()) return {};
  std::string text = metadata_->text(0);
  metadata_->run();
  return text;
}

}  // namespace glia::vectorize
