#include "api/usage_json.h"

namespace glia::api {

json::array usage_json(const std::vector<ledger::UsageRow>& rows) {
  json::array out;
  for (const auto& row : rows) {
    out.push_back(json::object{{"day", row.day},
                               {"model", row.model},
                               {"task", row.task},
                               {"calls", row.calls},
                               {"prompt_tokens", row.prompt_tokens},
                               {"completion_tokens", row.completion_tokens},
                               {"neurons", row.neurons},
                               {"stand_in", row.stand_in}});
  }
  return out;
}

}  // namespace glia::api
