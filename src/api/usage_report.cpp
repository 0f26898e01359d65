#include "api/usage_report.h"

#include <array>
#include <charconv>

namespace glia::api {
namespace {

std::string csv_field(const json::value& value) {
  if (value.is_double()) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), value.get_double(), std::chars_format::fixed).ptr;
    return {digits.begin(), end};
  }
  if (!value.is_string()) return json::serialize(value);
  const std::string_view text = value.get_string();
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

json::object usage_object(const ledger::UsageRow& row, const ledger::Grouping& by) {
  json::object out;
  if (by.day) out["day"] = row.day;
  if (by.model) out["model"] = row.model;
  if (by.task) out["task"] = row.task;
  out["calls"] = row.calls;
  out["prompt_tokens"] = row.prompt_tokens;
  out["completion_tokens"] = row.completion_tokens;
  out["neurons"] = row.neurons;
  out["stand_in"] = row.stand_in;
  return out;
}

}  // namespace

json::array usage_json(const std::vector<ledger::UsageRow>& rows, const ledger::Grouping& by) {
  json::array out;
  for (const auto& row : rows) out.push_back(usage_object(row, by));
  return out;
}

std::string usage_csv(const std::vector<ledger::UsageRow>& rows, const ledger::Grouping& by) {
  std::string out;
  const auto line = [&out](const json::object& row, const auto& field) {
    std::string_view separator;
    for (const auto& member : row) {
      out += separator;
      out += field(member);
      separator = ",";
    }
    out += "\n";
  };
  line(usage_object({}, by), [](const auto& member) { return std::string(member.key()); });
  for (const auto& row : rows) {
    line(usage_object(row, by), [](const auto& member) { return csv_field(member.value()); });
  }
  return out;
}

}  // namespace glia::api
