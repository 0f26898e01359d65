// Rows of the ledger as the internal route and `glia usage` show them to programs (docs/protocol-internal.md).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "ledger/grouping.h"

namespace glia::api {

/// What `by` does not tell apart is left out.
json::array usage_json(const std::vector<ledger::UsageRow>& rows, const ledger::Grouping& by = {});
/// RFC 4180 but for the line ends, which are \n: a header, then a line a row, with the same columns in the same order.
std::string usage_csv(const std::vector<ledger::UsageRow>& rows, const ledger::Grouping& by = {});

}  // namespace glia::api
