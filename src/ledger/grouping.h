// Rows of usage summed over what a report does not tell apart.
// Thread rule: values and pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "ledger/ledger.h"

namespace glia::ledger {

/// The columns that are told apart; the others are empty in a grouped row.
struct Grouping {
  bool day = true;
  bool model = true;
  bool task = true;
};

/// "day,model", in any order, each once. Errors: glia::Error(invalid_input) naming what it does not know.
Grouping parse_grouping(std::string_view text);

/// Newest day first, then the costliest. A sum that has a stand-in's counts in it is marked as one.
std::vector<UsageRow> grouped(const std::vector<UsageRow>& rows, const Grouping& by);

}  // namespace glia::ledger
