// Test support: from a schema and an input that it takes, inputs each of which breaks one bound of one top-level field.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace glia::catalog {

struct OutOfRange {
  std::string path;  ///< the field that is wrong, "top_k"
  std::string why;   ///< "below 1"
  json::object input;
};

namespace detail {

inline bool is_type(const json::object& property, std::string_view name) {
  const auto* const type = property.if_contains("type");
  if (type == nullptr) return false;
  if (type->is_string()) return type->get_string() == name;
  for (const auto& t : type->as_array()) {
    if (t.as_string() == name) return true;
  }
  return false;
}

/// A value of a type that the property does not have.
inline json::value of_another_type(const json::object& property) {
  if (!is_type(property, "boolean")) return true;
  return "true";
}

inline json::value minus(const json::value& bound) {
  if (bound.is_int64()) return bound.get_int64() - 1;
  return bound.to_number<double>() - 0.001;
}

inline json::value plus(const json::value& bound) {
  if (bound.is_int64()) return bound.get_int64() + 1;
  return bound.to_number<double>() + 0.001;
}

}  // namespace detail

inline std::vector<OutOfRange> out_of_range(const json::object& schema, const json::object& example) {
  std::vector<OutOfRange> out;
  for (const auto& [name, node] : schema.at("properties").as_object()) {
    const auto& property = node.as_object();
    const auto add = [&, key = std::string(name)](std::string why, json::value value) {
      auto input = example;
      input[key] = std::move(value);
      out.push_back({key, std::move(why), std::move(input)});
    };
    const auto bound = [&property](std::string_view keyword) { return property.if_contains(keyword); };
    if (property.contains("type")) add("of another type", detail::of_another_type(property));
    if (const auto* const v = bound("minimum")) add("below " + json::serialize(*v), detail::minus(*v));
    if (const auto* const v = bound("maximum")) add("above " + json::serialize(*v), detail::plus(*v));
    if (detail::is_type(property, "integer")) add("a fraction", 1.5);
    if (bound("enum") != nullptr) add("a word that is none of its own", "no such word");
    if (detail::is_type(property, "string")) {
      if (bound("minLength") != nullptr) add("empty", "");
      if (const auto* const v = bound("maxLength")) {
        add("too long", json::value(std::string(v->to_number<std::size_t>() + 1, 'x')));
      }
    }
    if (detail::is_type(property, "array")) {
      if (bound("minItems") != nullptr) add("without items", json::array());
      if (const auto* const v = bound("maxItems")) {
        add("of too many items", json::array(v->to_number<std::size_t>() + 1, "x"));
      }
    }
  }
  return out;
}

}  // namespace glia::catalog
