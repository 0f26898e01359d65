#include <iostream>

#include "api/usage_report.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "catalog/price.h"
#include "commands.h"
#include "house.h"
#include "ledger/grouping.h"
#include "ledger/ledger.h"
#include "terminal.h"

namespace glia::cli {
namespace {

std::string usage_table(const std::vector<ledger::UsageRow>& rows, const ledger::Grouping& by) {
  std::vector<std::string> header;
  if (by.day) header.emplace_back("DAY (UTC)");
  if (by.model) header.emplace_back("MODEL");
  if (by.task) header.emplace_back("TASK");
  const std::size_t names = header.size();
  header.insert(header.end(), {"CALLS", "TOKENS IN", "TOKENS OUT", "NEURONS"});
  Table table(header, {names, names + 1, names + 2, names + 3});
  for (const auto& row : rows) {
    const std::string mark = row.stand_in ? "~" : "";
    std::vector<std::string> cells;
    if (by.day) cells.push_back(row.day);
    if (by.model) cells.push_back(row.model);
    if (by.task) cells.push_back(row.task);
    cells.insert(cells.end(), {human_count(row.calls), mark + human_count(row.prompt_tokens),
                               mark + human_count(row.completion_tokens), mark + fixed(row.neurons, 3)});
    table.add(std::move(cells));
  }
  return table.text();
}

ledger::Grouping grouping_of(const std::string& by) {
  try {
    return ledger::parse_grouping(by);
  } catch (const Error& e) {
    throw UsageError("--" + std::string(e.detail()));
  }
}

}  // namespace

int usage(const Settings& settings, const UsageOptions& options) {
  const SystemClock clock;
  std::vector<ledger::UsageRow> rows;
  if (std::filesystem::exists(ledger_path(settings))) {
    rows = ledger::read_usage(ledger_path(settings), clock, options.account, options.days);
  }
  const auto by = grouping_of(options.by);
  rows = ledger::grouped(rows, by);
  if (options.as_json) {
    std::cout << json::serialize(api::usage_json(rows, by)) << "\n";
    return 0;
  }
  if (options.as_csv) {
    std::cout << api::usage_csv(rows, by);
    return 0;
  }
  if (rows.empty()) {
    std::cout << "No calls in the last " << options.days << (options.days == 1 ? " day.\n" : " days.\n");
    return 0;
  }
  double total = 0;
  bool stand_in = false;
  for (const auto& row : rows) {
    total += row.neurons;
    stand_in = stand_in || row.stand_in;
  }
  std::cout << usage_table(rows, by) << "\n"
            << fixed(total, 3) << " neurons, which is $" << fixed(total * catalog::kDollarsPerNeuron, 4)
            << " at the service's $0.011 per 1,000; 10,000 a day are free there.\n";
  if (stand_in)
    std::cout
        << "~ counted, in whole or in part, on the tokens of a stand-in, at the price of the id it answered for.\n";
  return 0;
}

}  // namespace glia::cli
