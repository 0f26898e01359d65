#include "vectorize/filter.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "vectorize/compact_json.h"

namespace glia::vectorize {
namespace {

constexpr std::array<std::string_view, 8> kOperators = {"$eq", "$ne", "$in", "$nin", "$lt", "$lte", "$gt", "$gte"};

[[noreturn]] void refuse(const std::string& why) {
  throw Error::worded(ErrorCode::vectorize_query_json, "Failed to parse the request body as JSON: filter: " + why);
}

/// At most 64 bytes of what a client sent, for a message.
std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 64;
  const auto part = text.substr(0, std::min(kMost, text.size()));
  return "`" + std::string(part.substr(0, complete_utf8_prefix(part))) + (part.size() < text.size() ? "…`" : "`");
}

Value scalar(const json::value& value, std::string_view where) {
  switch (value.kind()) {
    case json::kind::null:
      return std::monostate();
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return value.to_number<double>();
    case json::kind::string:
      return std::string(indexed_part(value.get_string()));
    default:
      refuse("the value of " + quoted(where) + " must be a string, a number, a boolean or null");
  }
}

bool is_range(Operator op) { return op >= Operator::lt; }
bool is_upper(Operator op) { return op == Operator::lt || op == Operator::lte; }

Condition condition_of(std::string_view property, std::string_view name, const json::value& value) {
  const auto* const found = std::find(kOperators.begin(), kOperators.end(), name);
  if (found == kOperators.end()) refuse("unknown operator " + quoted(name));
  Condition condition{std::string(property), static_cast<Operator>(found - kOperators.begin()), {}};
  if (condition.op == Operator::in || condition.op == Operator::nin) {
    if (!value.is_array()) refuse(std::string(name) + " needs a list");
    for (const auto& item : value.get_array()) condition.values.push_back(scalar(item, name));
    return condition;
  }
  if (is_range(condition.op) && !value.is_string() && !value.is_number()) {
    refuse(std::string(name) + " needs a string or a number");
  }
  condition.values.push_back(scalar(value, name));
  return condition;
}

void check_key(std::string_view key) {
  if (key.empty()) refuse("a key is empty");
  if (key.front() == '$') refuse("the key " + quoted(key) + " must not start with `$`");
  if (key.find('"') != std::string_view::npos || key.find('|') != std::string_view::npos) {
    refuse("the key " + quoted(key) + " must not hold `\"` or `|`");
  }
  if (key.size() > kFilterKeyLength) {
    refuse("the key " + quoted(key) + " is longer than " + std::to_string(kFilterKeyLength) + " characters");
  }
  if (key.front() == '.' || key.back() == '.' || key.find("..") != std::string_view::npos) {
    refuse("the key " + quoted(key) + " has an empty part");
  }
}

void add_operators(const json::object& operators, std::string_view property, Filter& filter) {
  if (operators.empty()) refuse("no operator for " + quoted(property));
  const std::size_t first = filter.conditions.size();
  for (const auto& [name, value] : operators) filter.conditions.push_back(condition_of(property, name, value));
  if (operators.size() == 1) return;
  const auto& a = filter.conditions[first];
  const auto& b = filter.conditions[first + 1];
  const bool bounds = operators.size() == 2 && is_range(a.op) && is_range(b.op) && is_upper(a.op) != is_upper(b.op);
  if (!bounds) refuse("of operators for " + quoted(property) + " only a lower and an upper bound may stand together");
}

/// Null where the two are not of one kind.
std::optional<int> compared(const Value& a, const Value& b) {
  if (a.index() != b.index()) return std::nullopt;
  if (const auto* x = std::get_if<double>(&a)) {
    const double y = std::get<double>(b);
    return *x < y ? -1 : (*x > y ? 1 : 0);
  }
  if (const auto* x = std::get_if<std::string>(&a)) return x->compare(std::get<std::string>(b));
  return std::nullopt;
}

bool contains(const std::vector<Value>& values, const Value& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

std::string_view indexed_part(std::string_view text) {
  if (text.size() <= kIndexedStringBytes) return text;
  const std::string_view cut = text.substr(0, kIndexedStringBytes);
  return cut.substr(0, complete_utf8_prefix(cut));
}

Filter parse_filter(const json::value& value, const Limits& limits) {
  if (!value.is_object()) refuse("an object is expected");
  const auto& object = value.get_object();
  if (object.empty()) refuse("it must not be empty");
  const std::size_t bytes = compact_json(value).size();
  if (bytes >= limits.filter_bytes) {
    refuse("its compact JSON must be shorter than " + std::to_string(limits.filter_bytes) + " bytes, got " +
           std::to_string(bytes) + " bytes");
  }
  Filter filter;
  for (const auto& [key, condition] : object) {
    check_key(key);
    if (condition.is_object()) {
      add_operators(condition.get_object(), key, filter);
    } else {
      filter.conditions.push_back({std::string(key), Operator::eq, {scalar(condition, key)}});
    }
  }
  return filter;
}

bool meets(const Condition& condition, const Value& value) {
  switch (condition.op) {
    case Operator::eq:
    case Operator::in:
      return contains(condition.values, value);
    case Operator::ne:
    case Operator::nin:
      return !contains(condition.values, value);
    default:
      break;
  }
  const auto order = compared(value, condition.values.front());
  if (!order) return false;
  switch (condition.op) {
    case Operator::lt:
      return *order < 0;
    case Operator::lte:
      return *order <= 0;
    case Operator::gt:
      return *order > 0;
    default:
      return *order >= 0;
  }
}

}  // namespace glia::vectorize
