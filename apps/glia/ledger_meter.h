// Bills runs to the ledger: tasks know a Meter, the ledger knows nothing of tasks.
// Ownership: the ledger must outlive it. Thread rule: any thread, as Meter.
#pragma once

#include "ledger/ledger.h"
#include "tasks/runner.h"

namespace glia::cli {

class LedgerMeter final : public tasks::Meter {
 public:
  explicit LedgerMeter(ledger::Ledger& ledger) : ledger_(ledger) {}
  void reserve(const tasks::Bill& bill, double estimated_neurons) override;
  void release(const tasks::Bill& bill) override;
  void settle(const tasks::Bill& bill, const tasks::TokenUsage& usage, double neurons, Settled settled) override;

 private:
  ledger::Ledger& ledger_;
};

}  // namespace glia::cli
