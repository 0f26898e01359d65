#include "store/database.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

namespace glia::store {
namespace {

/// A folder of this test's own, removed afterwards.
class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "glia-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::filesystem::path file(const char* name = "a.db") const { return dir_ / name; }

  std::filesystem::path dir_;
};

std::int64_t count(Database& db) {
  auto q = db.prepare("SELECT count(*) FROM t");
  return q.step() ? q.integer(0) : -1;
}

TEST_F(DatabaseTest, BindsAndReadsEveryType) {
  auto db = Database::open({});
  db.execute("CREATE TABLE t(i, d, s, n)");
  auto insert = db.prepare("INSERT INTO t VALUES(?,?,?,?)");
  using namespace std::string_view_literals;
  insert.bind(1, std::int64_t{-9007199254740993}).bind(2, 0.1).bind(3, "a\0b"sv).bind(4, nullptr).run();
  insert.bind(1, std::int64_t{1}).bind(2, 2.0).bind(3, std::string_view{}).bind(4, nullptr).run();
  EXPECT_EQ(db.changes(), 1);
  auto q = db.prepare("SELECT * FROM t ORDER BY i");
  ASSERT_TRUE(q.step());
  EXPECT_EQ(q.integer(0), -9007199254740993);
  EXPECT_EQ(q.number(1), 0.1);
  EXPECT_EQ(q.text(2), std::string("a\0b", 3));
  EXPECT_TRUE(q.is_null(3));
  EXPECT_EQ(q.text(3), "");
  ASSERT_TRUE(q.step());
  EXPECT_FALSE(q.is_null(2)) << "an empty text is not NULL";
  EXPECT_FALSE(q.step());
  EXPECT_TRUE(q.step()) << "ready to run anew";
}

TEST_F(DatabaseTest, OpensDurably) {
  auto db = Database::open({.path = file()});
  auto mode = db.prepare("PRAGMA journal_mode");
  ASSERT_TRUE(mode.step());
  EXPECT_EQ(mode.text(0), "wal");
  auto sync = db.prepare("PRAGMA synchronous");
  ASSERT_TRUE(sync.step());
  EXPECT_EQ(sync.integer(0), 2) << "FULL";
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedLeavesNothing) {
  auto db = Database::open({.path = file()});
  db.execute("CREATE TABLE t(x)");
  {
    Transaction t(db);
    db.execute("INSERT INTO t VALUES(1)");
  }
  EXPECT_EQ(count(db), 0);
  Transaction t(db);
  db.execute("INSERT INTO t VALUES(1)");
  t.commit();
  EXPECT_EQ(count(db), 1);
}

TEST_F(DatabaseTest, MigratesOnceAndRefusesTheFuture) {
  constexpr std::array<std::string_view, 2> kSteps = {"CREATE TABLE t(x)", "INSERT INTO t VALUES(1)"};
  {
    auto db = Database::open({.path = file()});
    db.migrate(std::span(kSteps).first(1));
    EXPECT_EQ(count(db), 0);
    db.migrate(kSteps);
    db.migrate(kSteps);
    EXPECT_EQ(count(db), 1);
  }
  auto db = Database::open({.path = file()});
  try {
    db.migrate(std::span(kSteps).first(1));
    FAIL() << "a newer schema was taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.detail(), "the database has schema version 2, this program knows versions up to 1");
  }
  constexpr std::array<std::string_view, 3> kBroken = {"", "", "CREATE TABLE u(x); nonsense"};
  EXPECT_THROW(db.migrate(kBroken), SqlError);
  EXPECT_EQ(count(db), 1);
  EXPECT_THROW(db.prepare("SELECT * FROM u"), SqlError) << "a failed migration leaves nothing";
}

TEST_F(DatabaseTest, SaysWhatIsWrongWithAFileAndNamesNoPath) {
  const auto refusal = [](const OpenOptions& options) {
    try {
      Database::open(options);
    } catch (const Error& e) {
      EXPECT_EQ(e.message().find("glia-store"), std::string::npos) << e.message();
      return e.detail();
    }
    return std::string("opened");
  };
  std::ofstream(file("text")) << std::string(5000, 'x');
  EXPECT_NE(refusal({.path = file("text")}).find("not a database"), std::string::npos);
  EXPECT_NE(refusal({.path = dir_ / "no" / "such.db"}).find("unable to open"), std::string::npos);
  EXPECT_NE(refusal({.path = file("absent"), .read_only = true}).find("unable to open"), std::string::npos);
  {
    auto db = Database::open({.path = file()});
    db.execute("CREATE TABLE t(x); CREATE INDEX i ON t(x)");
    Transaction t(db);
    auto insert = db.prepare("INSERT INTO t VALUES(?)");
    for (int i = 0; i < 2000; ++i) insert.bind(1, std::string_view("some text to fill pages")).run();
    t.commit();
  }
  std::fstream damaged(file(), std::ios::in | std::ios::out | std::ios::binary);
  damaged.seekp(8192);
  damaged << std::string(4096, '\xFF');
  damaged.close();
  EXPECT_NE(refusal({.path = file()}).find("damaged"), std::string::npos);
}

TEST_F(DatabaseTest, AFullDiskIsAnErrorAndLosesNothingCommitted) {
  auto db = Database::open({.path = file()});
  db.execute("CREATE TABLE t(x)");
  db.execute("INSERT INTO t VALUES('kept')");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{64 << 10, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto fill = [&db] {
    Transaction t(db);
    auto insert = db.prepare("INSERT INTO t VALUES(?)");
    for (int i = 0; i < 200; ++i) insert.bind(1, std::string_view(std::string(4000, 'x'))).run();
    t.commit();
  };
  EXPECT_THROW(fill(), SqlError);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(count(db), 1);
  fill();
  EXPECT_EQ(count(db), 201) << "usable again once there is room";
}

TEST_F(DatabaseTest, BytesComeBackAsTheyWere) {
  auto db = Database::open({.path = file(), .page_bytes = 16384, .incremental_vacuum = true});
  db.execute("CREATE TABLE t(x BLOB, y TEXT)");
  std::string bytes(40'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  auto insert = db.prepare("INSERT INTO t VALUES(?, ?)");
  insert.bind(1, std::as_bytes(std::span(bytes))).bind(2, std::string_view("a\0b", 3)).run();
  insert.bind(1, std::span<const std::byte>()).bind(2, nullptr).run();
  auto query = db.prepare("SELECT x, y FROM t ORDER BY rowid");
  ASSERT_TRUE(query.step());
  const auto blob = query.blob(0);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(blob.data()), blob.size()), bytes);
  EXPECT_EQ(query.text_view(1), std::string_view("a\0b", 3));
  ASSERT_TRUE(query.step());
  EXPECT_TRUE(query.blob(0).empty());
  EXPECT_FALSE(query.is_null(0)) << "no bytes are not NULL";
  EXPECT_TRUE(query.is_null(1));
  auto page = db.prepare("PRAGMA page_size");
  ASSERT_TRUE(page.step());
  EXPECT_EQ(page.integer(0), 16384);
  auto vacuum = db.prepare("PRAGMA auto_vacuum");
  ASSERT_TRUE(vacuum.step());
  EXPECT_EQ(vacuum.integer(0), 2);
}

TEST_F(DatabaseTest, AWriterWaitsForAnotherAndThenGivesUp) {
  auto a = Database::open({.path = file(), .busy_timeout_ms = 20});
  a.execute("CREATE TABLE t(x)");
  auto b = Database::open({.path = file(), .busy_timeout_ms = 20});
  Transaction t(a);
  try {
    b.execute("INSERT INTO t VALUES(1)");
    FAIL() << "two writers at once";
  } catch (const SqlError& e) {
    EXPECT_EQ(e.sqlite_code(), 5) << "SQLITE_BUSY";
  }
  EXPECT_EQ(count(b), 0) << "readers are not held up";
}

TEST(Sqlite, VersionsThatCanLoseCommitsAreRefused) {
  EXPECT_FALSE(is_safe_sqlite(3040001));
  EXPECT_FALSE(is_safe_sqlite(3051002));
  EXPECT_TRUE(is_safe_sqlite(3051003));
  EXPECT_NO_THROW(Database::open({})) << "the one linked in is " << sqlite_version();
}

}  // namespace
}  // namespace glia::store
