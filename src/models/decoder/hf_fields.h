// Typed access to config.json. A null counts as absent, as in transformers, unless contains() is asked. Remembers what
// was read: config.json says much that changes nothing (who wrote it, how it was trained), but a field that is known to
// change the computation and that nobody read means a model that this code would compute wrongly.
// Errors: glia::Error(model_unavailable) naming the field.
// Ownership: borrows the object. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"

namespace glia::models::decoder {

class HfFields {
 public:
  explicit HfFields(const json::object& object) : object_(object) {}

  /// Null also where the field holds null.
  const json::value* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// There, if only as null: some defaults stand for absent fields alone.
  bool contains(std::string_view key) const { return object_.contains(key); }
  std::int32_t dimension_at(std::string_view key, std::uint64_t most) const;
  std::int32_t dimension_or(std::string_view key, std::uint64_t most, std::int32_t fallback) const;
  /// A whole number from 0.
  std::uint64_t count_or(std::string_view key, std::uint64_t most, std::uint64_t fallback) const;
  double number_at(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string_view string_or(std::string_view key, std::string_view fallback) const;
  const json::object& object_at(std::string_view key) const;

  /// Errors: unless model_type is absent or one of `types`.
  void check_model_type(std::initializer_list<std::string_view> types) const;
  /// Errors: when a field that changes the computation is set and nobody read it.
  void check_all_read() const;

  /// `config.json's "key"`, for messages.
  static std::string field(std::string_view key);

 private:
  const json::object& object_;
  mutable std::set<std::string, std::less<>> read_;
};

}  // namespace glia::models::decoder
