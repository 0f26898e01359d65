#include "ledger_meter.h"

#include <utility>

namespace glia::cli {

void LedgerMeter::reserve(const tasks::Bill& bill, double estimated_neurons) {
  std::optional<ledger::Plan> plan;
  if (bill.plan == tasks::Plan::paid) plan = ledger::Plan::paid;
  if (bill.plan == tasks::Plan::free) plan = ledger::Plan::free;
  ledger_.reserve(bill.request_id, bill.account, estimated_neurons, plan);
}

void LedgerMeter::release(const tasks::Bill& bill) { ledger_.release(bill.request_id); }

void LedgerMeter::settle(const tasks::Bill& bill, const tasks::TokenUsage& usage, double neurons, Settled settled) {
  ledger_.settle({.request_id = bill.request_id,
                  .account = bill.account,
                  .model = bill.model,
                  .task = bill.task,
                  .prompt_tokens = usage.prompt_tokens,
                  .completion_tokens = usage.completion_tokens,
                  .cached_tokens = usage.cached_tokens,
                  .neurons = neurons,
                  .stand_in = bill.stand_in},
                 std::move(settled));
}

}  // namespace glia::cli
