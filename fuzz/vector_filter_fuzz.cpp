// Any bytes as a query's filter: what is taken has conditions that every kind of value can be held against.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "vectorize/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace glia::vectorize;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const Filter filter = parse_filter(glia::parse_json(text), Limits());
    if (filter.conditions.empty()) std::abort();
    const Value values[] = {std::monostate(), true, 1.5, std::string("text")};
    for (const Condition& condition : filter.conditions) {
      if (condition.property.empty() || condition.property.size() > kFilterKeyLength) std::abort();
      for (const Value& value : condition.values) {
        if (const auto* t = std::get_if<std::string>(&value); t != nullptr && t->size() > kIndexedStringBytes)
          std::abort();
      }
      for (const Value& value : values) {
        const bool held = meets(condition, value);
        Condition other = condition;
        if (condition.op == Operator::eq) other.op = Operator::ne;
        if (condition.op == Operator::in) other.op = Operator::nin;
        if (other.op != condition.op && meets(other, value) == held) std::abort();
      }
    }
  } catch (const glia::Error&) {
  }
  return 0;
}
