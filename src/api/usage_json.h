// A row of the ledger as the internal route and `glia usage --json` show it (docs/protocol-internal.md).
#pragma once

#include <vector>

#include "base/json.h"
#include "ledger/ledger.h"

namespace glia::api {

json::array usage_json(const std::vector<ledger::UsageRow>& rows);

}  // namespace glia::api
