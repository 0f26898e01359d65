// A query's filter: conditions on metadata properties, all of which must hold.
//
// JSON: {"a": 1} is {"a": {"$eq": 1}}; "a.b" is b within the object a. $eq and $ne take a string, number, boolean or
// null, $in and $nin a list of them, $lt, $lte, $gt and $gte a string or a number. A lower and an upper bound may stand
// together, nothing else may. A property that a vector does not have, or not in the index, is null: it equals null
// alone. Strings are compared by their bytes, as an index keeps them: the first kIndexedStringBytes. Source:
// Vectorize's page on metadata filtering. Thread rule: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "vectorize/limits.h"

namespace glia::vectorize {

/// An indexed or a compared value; monostate: null.
using Value = std::variant<std::monostate, bool, double, std::string>;

enum class Operator { eq, ne, in, nin, lt, lte, gt, gte };

struct Condition {
  std::string property;
  Operator op = Operator::eq;
  std::vector<Value> values;  ///< one; of in and nin any number
};

struct Filter {
  std::vector<Condition> conditions;
};

/// Errors: glia::Error(vectorize_query_json) that names the key or operator.
Filter parse_filter(const json::value& value, const Limits& limits);

/// Whether a property's value meets the condition.
bool meets(const Condition& condition, const Value& value);

/// `text` cut as an index cuts it.
std::string_view indexed_part(std::string_view text);

}  // namespace glia::vectorize
