#include "ledger/ledger.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <future>
#include <random>
#include <set>
#include <thread>

#include "store/database.h"

namespace glia::ledger {
namespace {

constexpr std::int64_t kNoon = 1'795'521'600'000;  // 2026-11-24T12:00:00Z

Charge charge(std::string id, double neurons, std::string account = "local") {
  Charge c;
  c.request_id = std::move(id);
  c.account = std::move(account);
  c.model = "@cf/meta/llama-3.1-8b-instruct";
  c.task = "Text Generation";
  c.prompt_tokens = 10;
  c.completion_tokens = 5;
  c.neurons = neurons;
  c.stand_in = true;
  return c;
}

/// Waits for the disk. Empty: durable.
std::string settle(Ledger& ledger, Charge c) {
  std::promise<std::string> done;
  ledger.settle(std::move(c), [&done](const Error* e) { done.set_value(e != nullptr ? e->message() : ""); });
  return done.get_future().get();
}

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "glia-ledger-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::filesystem::path file() const { return dir_ / "ledger.db"; }
  std::unique_ptr<Ledger> open(Plan plan = Plan::paid) { return Ledger::open({.path = file(), .plan = plan}, clock_); }

  ManualClock clock_{kNoon};
  std::filesystem::path dir_;
};

TEST_F(LedgerTest, AChargeIsOneRowThatSurvives) {
  {
    auto ledger = open();
    EXPECT_EQ(settle(*ledger, charge("a", 0.254103)), "");
    EXPECT_EQ(settle(*ledger, charge("b", 1.5)), "");
    EXPECT_DOUBLE_EQ(ledger->used_today("local"), 1.754103);
    EXPECT_EQ(ledger->used_today("other"), 0);
  }
  auto ledger = open();
  EXPECT_DOUBLE_EQ(ledger->used_today("local"), 1.754103);
  const auto rows = ledger->usage("", 1);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].day, "2026-11-24");
  EXPECT_EQ(rows[0].model, "@cf/meta/llama-3.1-8b-instruct");
  EXPECT_EQ(rows[0].task, "Text Generation");
  EXPECT_EQ(rows[0].calls, 2);
  EXPECT_EQ(rows[0].prompt_tokens, 20);
  EXPECT_EQ(rows[0].completion_tokens, 10);
  EXPECT_DOUBLE_EQ(rows[0].neurons, 1.754103);
  EXPECT_TRUE(rows[0].stand_in);
}

TEST_F(LedgerTest, ARequestIsChargedOnce) {
  auto ledger = open(Plan::free);
  ledger->reserve("a", "local", 5);
  EXPECT_EQ(settle(*ledger, charge("a", 2)), "");
  EXPECT_EQ(settle(*ledger, charge("a", 2)), "") << "reported as settled";
  EXPECT_DOUBLE_EQ(ledger->used_today("local"), 2);
  EXPECT_EQ(ledger->usage("local", 1).at(0).calls, 1);
}

TEST_F(LedgerTest, SumsAreExactWhateverTheOrder) {
  auto ledger = open();
  std::int64_t micros = 0;
  std::mt19937_64 random(7);
  std::promise<void> last;
  constexpr int kCharges = 3000;
  std::atomic<int> left{kCharges};
  for (int i = 0; i < kCharges; ++i) {
    const auto tokens = static_cast<std::int64_t>(random() % 4000);
    micros += tokens * 75147;
    ledger->settle(charge("r" + std::to_string(i), static_cast<double>(tokens) * 75147 / 1e6), [&](const Error*) {
      if (--left == 0) last.set_value();
    });
  }
  last.get_future().wait();
  EXPECT_EQ(ledger->used_today("local"), static_cast<double>(micros) / 1e6);
  EXPECT_EQ(ledger->usage("", 1).at(0).neurons, static_cast<double>(micros) / 1e6);
}

TEST_F(LedgerTest, TheDayTurnsAtMidnightUtc) {
  auto ledger = open(Plan::free);
  clock_.advance_ms(12 * 3'600'000 - 1);  // 23:59:59.999
  ledger->reserve("a", "local", 9'000);
  EXPECT_EQ(settle(*ledger, charge("a", 9'000)), "");
  try {
    ledger->reserve("b", "local", 1'001);
    FAIL() << "above the allocation";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::quota_exceeded);
    EXPECT_EQ(e.retry_after_s, 1);
  }
  ledger->reserve("c", "local", 1'000);  // exactly the allocation
  clock_.advance_ms(1);
  EXPECT_EQ(ledger->used_today("local"), 0);
  EXPECT_EQ(settle(*ledger, charge("c", 1'000)), "") << "reserved yesterday, settled today";
  EXPECT_EQ(ledger->used_today("local"), 1'000);
  const auto rows = ledger->usage("", 2);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].day, "2026-11-25") << "newest first";
  EXPECT_EQ(rows[0].neurons, 1'000);
  EXPECT_EQ(rows[1].neurons, 9'000);
  EXPECT_EQ(ledger->usage("", 1).size(), 1U);
}

TEST_F(LedgerTest, PlanPaidCountsAndRefusesNothing) {
  auto ledger = open(Plan::paid);
  ledger->reserve("a", "local", 1e6);
  EXPECT_EQ(settle(*ledger, charge("a", 1e6)), "");
  EXPECT_NO_THROW(ledger->reserve("b", "local", 1e6));
}

TEST_F(LedgerTest, AReservationMayNameItsOwnPlan) {
  auto ledger = open(Plan::paid);
  EXPECT_EQ(settle(*ledger, charge("a", 9'999)), "");
  EXPECT_THROW(ledger->reserve("b", "local", 2, Plan::free), Error) << "what was used under the other plan counts";
  EXPECT_NO_THROW(ledger->reserve("b", "local", 1, Plan::free));
  EXPECT_NO_THROW(ledger->reserve("c", "local", 1e6));
  ledger = open(Plan::free);
  EXPECT_THROW(ledger->reserve("d", "local", 2), Error);
  EXPECT_NO_THROW(ledger->reserve("d", "local", 2, Plan::paid));
}

TEST_F(LedgerTest, WhatAnotherProcessChargedCountsFromTheNextChargeOn) {
  auto ledger = open(Plan::free);
  auto other = open(Plan::free);
  EXPECT_EQ(settle(*other, charge("theirs", 9'000)), "");
  EXPECT_EQ(settle(*ledger, charge("ours", 500)), "");
  EXPECT_EQ(ledger->used_today("local"), 9'500);
  EXPECT_THROW(ledger->reserve("next", "local", 501), Error);
  EXPECT_NO_THROW(ledger->reserve("next", "local", 500));
}

TEST_F(LedgerTest, OldChargesAreDeletedAndTheirSumsStay) {
  auto ledger = open();
  for (int i = 0; i < 2'500; ++i) ledger->settle(charge("old" + std::to_string(i), 1), {});
  EXPECT_EQ(settle(*ledger, charge("old", 1)), "");
  clock_.advance_ms(std::int64_t{kChargeDays} * 86'400'000);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(settle(*ledger, charge("new" + std::to_string(i), 1)), "");
  ledger.reset();  // the writer has ended
  auto db = store::Database::open({.path = file()});
  auto count = db.prepare("SELECT count(*) FROM charges");
  ASSERT_TRUE(count.step());
  EXPECT_EQ(count.integer(0), 4) << "a thousand old ones went with each of the first three";
  std::int64_t calls = 0;
  for (const auto& row : open()->usage("", 100)) calls += row.calls;
  EXPECT_EQ(calls, 2'505);
}

TEST_F(LedgerTest, AReleasedReservationGivesRoom) {
  auto ledger = open(Plan::free);
  ledger->reserve("a", "local", 10'000);
  EXPECT_THROW(ledger->reserve("b", "local", 0.000001), Error);
  EXPECT_NO_THROW(ledger->reserve("b", "other", 10'000)) << "accounts are apart";
  ledger->release("a");
  ledger->release("a");
  EXPECT_NO_THROW(ledger->reserve("b", "local", 10'000));
  EXPECT_NO_THROW(ledger->reserve("b", "local", 10'000)) << "the same request replaces its reservation";
}

TEST_F(LedgerTest, SixtyFourRacingClientsNeverPassTheAllocation) {
  auto ledger = open(Plan::free);
  std::atomic<int> granted{0};
  std::atomic<int> refused{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> clients;
  for (int t = 0; t < 64; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const auto id = std::to_string(t) + "." + std::to_string(i);
        try {
          ledger->reserve(id, "local", 40);
        } catch (const Error& e) {
          refused += e.code() == ErrorCode::quota_exceeded ? 1 : 1000;
          continue;
        }
        ++granted;
        if (settle(*ledger, charge(id, 40)) != "") over = true;
        if (ledger->used_today("local") > kFreeNeuronsPerDay) over = true;
      }
    });
  }
  for (auto& c : clients) c.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(granted, 250) << "the allocation is used up to the last neuron";
  EXPECT_EQ(refused, 640 - 250);
  EXPECT_EQ(ledger->used_today("local"), kFreeNeuronsPerDay);
  EXPECT_EQ(ledger->usage("local", 1).at(0).neurons, kFreeNeuronsPerDay);
}

TEST_F(LedgerTest, AnotherProcessReadsWhileThisOneWrites) {
  auto ledger = open();
  EXPECT_EQ(settle(*ledger, charge("a", 3)), "");
  const auto rows = read_usage(file(), clock_, "local", 7);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].neurons, 3);
  ledger.reset();
  EXPECT_EQ(read_usage(file(), clock_, "", 7).size(), 1U) << "and when nobody has it open";
  EXPECT_THROW(read_usage(dir_ / "absent.db", clock_, "", 7), Error);
}

TEST_F(LedgerTest, AFullDiskIsReportedAndTheNextChargeIsKept) {
  std::signal(SIGXFSZ, SIG_IGN);
  auto ledger = open(Plan::free);
  EXPECT_EQ(settle(*ledger, charge("a", 1)), "");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  ledger->reserve("b", "local", 5);
  const auto refused = settle(*ledger, charge("b", 5));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_NE(refused.find("Internal server error"), std::string::npos);
  EXPECT_EQ(refused.find(dir_.string()), std::string::npos) << "no path in it";
  EXPECT_EQ(ledger->used_today("local"), 1) << "what is not on disk is not charged, nor held";
  EXPECT_EQ(settle(*ledger, charge("b", 5)), "");
  EXPECT_EQ(ledger->used_today("local"), 6);
}

TEST_F(LedgerTest, NeuronsThatAreNoNumberCostNothing) {
  auto ledger = open();
  for (const double odd : {-1.0, 0.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(settle(*ledger, charge("odd" + std::to_string(odd), odd)), "");
  }
  EXPECT_EQ(settle(*ledger, charge("inf", std::numeric_limits<double>::infinity())), "");
  EXPECT_EQ(ledger->used_today("local"), 1e9) << "capped, so that no sum overflows";
}

/// The child charges from four threads as fast as it can and writes each id to the pipe once it is durable, until it is
/// killed.
[[noreturn]] void charge_until_killed(const std::filesystem::path& path, int pipe) {
  SystemClock clock;
  auto ledger = Ledger::open({.path = path}, clock);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0;; ++i) {
        char id[16] = {};
        std::snprintf(id, sizeof id, "%d.%d", t, i);
        if (settle(*ledger, charge(id, 0.000001)) != "" || write(pipe, id, sizeof id) != sizeof id) _exit(1);
      }
    });
  }
  for (auto& t : threads) t.join();
  _exit(1);
}

TEST_F(LedgerTest, AKilledProcessLosesNoSettledCharge) {
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < 5; ++round) {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directory(dir_);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) charge_until_killed(file(), ends[1]);
    close(ends[1]);
    std::set<std::string> durable;
    char id[16];
    const auto take = [&] { return read(ends[0], id, sizeof id) == sizeof id && durable.insert(id).second; };
    const auto target = 50 + random() % 500;
    while (durable.size() < target && take()) {
    }
    kill(child, SIGKILL);
    while (take()) {
    }
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed by itself";

    SystemClock clock;
    const auto used = Ledger::open({.path = file()}, clock)->usage("", 2);
    auto db = store::Database::open({.path = file()});
    auto find = db.prepare("SELECT count(*) FROM charges WHERE request_id = ?");
    for (const auto& key : durable) {
      find.bind(1, key);
      ASSERT_TRUE(find.step());
      EXPECT_EQ(find.integer(0), 1) << key << " was reported durable and is gone";
      EXPECT_FALSE(find.step());
    }
    auto count = db.prepare("SELECT count(*) FROM charges");
    ASSERT_TRUE(count.step());
    std::int64_t calls = 0;
    for (const auto& row : used) calls += row.calls;
    EXPECT_EQ(calls, count.integer(0)) << "the sums are those of the rows";
    EXPECT_GE(calls, static_cast<std::int64_t>(durable.size()));
  }
}

TEST_F(LedgerTest, GroupCommitCarriesTwoThousandChargesASecond) {
  using std::chrono::steady_clock;
  auto ledger = open();
  std::vector<double> alone_ms;
  for (int i = 0; i < 101; ++i) {
    const auto start = steady_clock::now();
    ASSERT_EQ(settle(*ledger, charge("alone" + std::to_string(i), 1)), "");
    alone_ms.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - start).count());
  }
  std::nth_element(alone_ms.begin(), alone_ms.begin() + 50, alone_ms.end());

  constexpr int kClients = 64;
  constexpr int kEach = 100;
  EXPECT_EQ(ledger->commits(), alone_ms.size());
  const auto start = steady_clock::now();
  std::vector<std::thread> clients;
  for (int t = 0; t < kClients; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        EXPECT_EQ(settle(*ledger, charge(std::to_string(t) + "." + std::to_string(i), 1)), "");
      }
    });
  }
  for (auto& c : clients) c.join();
  const auto seconds = std::chrono::duration<double>(steady_clock::now() - start).count();
  const double rate = kClients * kEach / seconds;
  std::printf(
      "[ MEASURED ] lone durable settle: median %.3f ms; 64 clients, each waiting for the disk: %.0f settles/s\n",
      alone_ms[50], rate);
  RecordProperty("lone_settle_median_us", static_cast<int>(alone_ms[50] * 1000));
  RecordProperty("settles_per_s", static_cast<int>(rate));
  EXPECT_LE(4 * (ledger->commits() - alone_ms.size()), std::uint64_t{kClients * kEach}) << "commits are shared";
#ifndef __SANITIZE_THREAD__
  EXPECT_GE(rate, 2000);
#endif
  EXPECT_EQ(ledger->usage("", 1).at(0).calls, 101 + kClients * kEach);
}

}  // namespace
}  // namespace glia::ledger
