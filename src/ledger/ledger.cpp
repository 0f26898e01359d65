#include "ledger/ledger.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "ledger/allowance.h"
#include "ledger/days.h"
#include "ledger/usage_store.h"

namespace glia::ledger {
namespace {

constexpr std::int64_t kDayMs = 86'400'000;

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
      : clock_(clock),
        store_(UsageStore::create(options.path)),
        allowance_(options.plan == Plan::free ? std::optional(to_micros(kFreeNeuronsPerDay)) : std::nullopt, today()) {
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

  void reserve(std::string_view request_id, std::string_view account, double neurons) override {
    const auto now = clock_.unix_ms();
    allowance_.reserve(request_id, account, to_micros(neurons), day_of(now), kDayMs - (now - day_of(now) * kDayMs));
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
    }
  }

  void commit(std::vector<Pending>& batch) {
    std::optional<Error> error;
    std::vector<bool> fresh(batch.size(), false);
    try {
      const std::lock_guard lock(store_mutex_);
      store::Transaction transaction(store_.database());
      for (std::size_t i = 0; i < batch.size(); ++i) {
        fresh[i] = store_.add(batch[i].charge, batch[i].micros, batch[i].day, batch[i].unix_ms);
      }
      transaction.commit();
    } catch (const Error& e) {
      error = e;
      log::error("charges could not be written",
                 {{"charges", std::to_string(batch.size())}, {"reason", std::string(e.detail())}});
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& c = batch[i].charge;
      allowance_.charged(c.request_id, c.account, !error && fresh[i] ? batch[i].micros : 0, batch[i].day);
      if (batch[i].settled) batch[i].settled(error ? &*error : nullptr);
    }
  }

  const Clock& clock_;
  std::mutex store_mutex_;
  UsageStore store_;
  Allowance allowance_;

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::vector<Pending> queue_;
  bool stopping_ = false;
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
