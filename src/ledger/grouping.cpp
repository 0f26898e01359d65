#include "ledger/grouping.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "ledger/usage_store.h"

namespace glia::ledger {
namespace {

using Key = std::tuple<std::string, std::string, std::string>;

bool* column(Grouping& by, std::string_view name) {
  if (name == "day") return &by.day;
  if (name == "model") return &by.model;
  if (name == "task") return &by.task;
  return nullptr;
}

struct Sum {
  UsageRow row;
  std::int64_t micros = 0;  // neurons add up exactly only as whole millionths
};

}  // namespace

Grouping parse_grouping(std::string_view text) {
  Grouping by{.day = false, .model = false, .task = false};
  while (true) {
    const auto comma = text.find(',');
    bool* const told = column(by, text.substr(0, comma));
    if (told == nullptr || *told) {
      throw Error(ErrorCode::invalid_input,
                  "by: day, model and task are possible, each once, with commas between them");
    }
    *told = true;
    if (comma == std::string_view::npos) return by;
    text.remove_prefix(comma + 1);
  }
}

std::vector<UsageRow> grouped(const std::vector<UsageRow>& rows, const Grouping& by) {
  std::map<Key, Sum> sums;
  for (const auto& row : rows) {
    const std::string none;
    const Key key{by.day ? row.day : none, by.model ? row.model : none, by.task ? row.task : none};
    auto& sum = sums[key];
    sum.row.calls += row.calls;
    sum.row.prompt_tokens += row.prompt_tokens;
    sum.row.completion_tokens += row.completion_tokens;
    sum.row.stand_in = sum.row.stand_in || row.stand_in;
    sum.micros += to_micros(row.neurons);
  }
  std::vector<std::pair<std::int64_t, UsageRow>> order;
  for (auto& [key, sum] : sums) {
    std::tie(sum.row.day, sum.row.model, sum.row.task) = key;
    sum.row.neurons = to_neurons(sum.micros);
    order.emplace_back(sum.micros, std::move(sum.row));
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::tie(a.second.day, a.first) > std::tie(b.second.day, b.first);
  });
  std::vector<UsageRow> out;
  for (auto& [micros, row] : order) out.push_back(std::move(row));
  return out;
}

}  // namespace glia::ledger
