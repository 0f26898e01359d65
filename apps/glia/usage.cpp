#include <iostream>

#include "api/usage_json.h"
#include "base/clock.h"
#include "base/json.h"
#include "commands.h"
#include "house.h"
#include "ledger/ledger.h"
#include "terminal.h"

namespace glia::cli {
int usage(const Settings& settings, const UsageOptions& options) {
  const SystemClock clock;
  std::vector<ledger::UsageRow> rows;
  if (std::filesystem::exists(ledger_path(settings))) {
    rows = ledger::read_usage(ledger_path(settings), clock, options.account, options.days);
  }
  if (options.as_json) {
    std::cout << json::serialize(api::usage_json(rows)) << "\n";
    return 0;
  }
  if (rows.empty()) {
    std::cout << "No calls in the last " << options.days << (options.days == 1 ? " day.\n" : " days.\n");
    return 0;
  }
  Table table({"DAY (UTC)", "MODEL", "TASK", "CALLS", "TOKENS IN", "TOKENS OUT", "NEURONS"}, {3, 4, 5, 6});
  double total = 0;
  bool stand_in = false;
  for (const auto& row : rows) {
    total += row.neurons;
    stand_in = stand_in || row.stand_in;
    const std::string mark = row.stand_in ? "~" : "";
    table.add({row.day, row.model, row.task, human_count(row.calls), mark + human_count(row.prompt_tokens),
               mark + human_count(row.completion_tokens), mark + fixed(row.neurons, 3)});
  }
  std::cout << table.text() << "\n"
            << fixed(total, 3) << " neurons, which is $" << fixed(total * ledger::kDollarsPerNeuron, 4)
            << " at the service's $0.011 per 1,000; 10,000 a day are free there.\n";
  if (stand_in) std::cout << "~ counted on the tokens of a stand-in, at the price of the id it answered for.\n";
  return 0;
}

}  // namespace glia::cli
