#include "ledger/ledger.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/log.h"
#include "ledger/allowance.h"
#include "ledger/days.h"
#include "ledger/usage_store.h"

namespace glia::ledger {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;
constexpr std::int64_t kPrunedAtOnce = 1000;  ///< rows; a few milliseconds

struct Pending {
  Charge charge;
  std::int64_t micros = 0;
  std::int64_t day = 0;
  std::int64_t unix_ms = 0;
  Settled settled;
};

class SqliteLedger final : public Ledger {
 public:
  SqliteLedger(const Options& options, const Clock& clock)
      : clock_(clock), store_(UsageStore::create(options.path)), plan_(options.plan), allowance_(today()) {
    for (const auto& [account, micros] : store_.used_on(today())) allowance_.preload(account, micros);
    writer_ = std::thread([this] { write(); });
  }

  ~SqliteLedger() override {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    queue_changed_.notify_one();
    writer_.join();
  }

  void reserve(std::string_view request_id, std::string_view account, double neurons,
               std::optional<Plan> plan) override {
    const auto now = clock_.unix_ms();
    const bool limited = plan.value_or(plan_) == Plan::free;
    allowance_.reserve(request_id, account, to_micros(neurons),
                       limited ? std::optional(to_micros(kFreeNeuronsPerDay)) : std::nullopt, day_of(now),
                       kDayMs - (now - day_of(now) * kDayMs));
  }

  void release(std::string_view request_id) override { allowance_.release(request_id); }

  void settle(Charge charge, Settled settled) override {
    Pending pending;
    pending.micros = to_micros(charge.neurons);
    pending.unix_ms = clock_.unix_ms();
    pending.day = allowance_.turn(day_of(pending.unix_ms));
    pending.charge = std::move(charge);
    pending.settled = std::move(settled);
    {
      const std::lock_guard lock(queue_mutex_);
      queue_.push_back(std::move(pending));
    }
    queue_changed_.notify_one();
  }

  std::vector<UsageRow> usage(std::string_view account, int days) override {
    const auto first = today() - std::max(days, 1) + 1;
    const std::lock_guard lock(store_mutex_);
    return store_.usage(account, first);
  }

  double used_today(std::string_view account) override { return to_neurons(allowance_.used(account, today())); }

  std::uint64_t commits() const override { return commits_; }

 private:
  std::int64_t today() const { return day_of(clock_.unix_ms()); }

  /// The writer thread: whatever was settled while the last commit was under way goes into the next one.
  void write() {
    for (;;) {
      std::vector<Pending> batch;
      {
        std::unique_lock lock(queue_mutex_);
        queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        batch.swap(queue_);
      }
      commit(batch);
      prune(batch.back().day);
    }
  }

  void commit(std::vector<Pending>& batch) {
    ++commits_;
    std::optional<Error> error;
    std::vector<Allowance::Used> used;
    try {
      const std::lock_guard lock(store_mutex_);
      store::Transaction transaction(store_.database());
      std::set<std::pair<std::int64_t, std::string_view>> days;
      for (const auto& p : batch) {
        store_.add(p.charge, p.micros, p.day, p.unix_ms);
        days.emplace(p.day, p.charge.account);
      }
      // Read back rather than counted: another process may charge on the same file.
      for (const auto& [day, account] : days) {
        used.push_back({day, std::string(account), store_.used_on(day, account)});
      }
      transaction.commit();
    } catch (const Error& e) {
      error = e;
      log::error("charges could not be written",
                 {{"charges", std::to_string(batch.size())}, {"reason", std::string(e.detail())}});
    }
    if (error) used.clear();
    std::vector<std::string_view> ids;
    for (const auto& p : batch) ids.push_back(p.charge.request_id);
    allowance_.charged(ids, used, batch.back().day);
    for (const auto& p : batch) {
      if (p.settled) p.settled(error ? &*error : nullptr);
    }
  }

  /// Once a day, a part at a time so that no charge waits long for it.
  void prune(std::int64_t day) {
    if (day <= pruned_) return;
    try {
      const std::lock_guard lock(store_mutex_);
      if (!store_.prune(day - kChargeDays + 1, kPrunedAtOnce)) pruned_ = day;
    } catch (const Error& e) {
      pruned_ = day;
      log::warn("old charges could not be deleted", {{"reason", std::string(e.detail())}});
    }
  }

  const Clock& clock_;
  std::mutex store_mutex_;
  UsageStore store_;
  const Plan plan_;
  Allowance allowance_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::atomic<std::uint64_t> commits_ = 0;
  std::vector<Pending> queue_;
  bool stopping_ = false;
  std::int64_t pruned_ = 0;  ///< the day of the last whole prune; the writer's
  std::thread writer_;
};

}  // namespace

std::unique_ptr<Ledger> Ledger::open(const Options& options, const Clock& clock) {
  return std::make_unique<SqliteLedger>(options, clock);
}

std::vector<UsageRow> read_usage(const std::filesystem::path& path, const Clock& clock, std::string_view account,
                                 int days) {
  return UsageStore::read_only(path).usage(account, day_of(clock.unix_ms()) - std::max(days, 1) + 1);
}

}  // namespace glia::ledger
