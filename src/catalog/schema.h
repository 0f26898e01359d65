// The subset of JSON Schema (draft 2020-12) that the catalogue's input schemas use: type (one or several), required,
// properties, additionalProperties (a schema), minProperties, maxProperties, items, enum, minimum, maximum, minLength,
// maxLength (characters), minItems, maxItems, oneOf, anyOf, default, and of our own `x-expected`, words for what a
// wrong type should have been, and `x-ignored`, a property that is known and that nobody acts on. Errors: the
// constructor throws glia::Error(internal) for a keyword that is not in the subset: a bound that nobody checks must not
// stand in a schema. Thread rule: immutable after construction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "catalog/violation.h"

namespace glia::catalog {

class Schema {
 public:
  explicit Schema(const json::object& source);
  Schema(Schema&&) noexcept;
  Schema& operator=(Schema&&) noexcept;
  ~Schema();

  /// The first violation, deepest alternative first. Where there is none, integers written as 3.0 become integers and
  /// absent properties with a default are filled in.
  std::optional<Violation> check(json::value& value) const;
  /// Top-level properties that nobody will act on, in the order of the value: those that the schema does not name, and
  /// x-ignored ones that are not null.
  std::vector<std::string> unused(const json::object& value) const;
  /// Whether the schema names the top-level property.
  bool names(std::string_view property) const;

 private:
  struct Node;
  std::unique_ptr<Node> root_;
};

}  // namespace glia::catalog
