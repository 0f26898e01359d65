// Typed access to config.json. A null counts as absent, as in transformers. Remembers what was read: config.json says
// much that changes nothing (who wrote it, how it was trained), but a field that is known to change the computation and
// that nobody read means a model that this code would compute wrongly.
// Errors: glia::Error(model_unavailable) naming the field.
// Ownership: borrows the object. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "models/decoder/config.h"

namespace glia::models::decoder {

class HfFields {
 public:
  explicit HfFields(const json::object& object) : object_(object) {}

  const json::value* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::int32_t dimension_at(std::string_view key, std::uint64_t most) const;
  std::int32_t dimension_or(std::string_view key, std::uint64_t most, std::int32_t fallback) const;
  double number_at(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string_view string_or(std::string_view key, std::string_view fallback) const;

  /// Errors: when a field that changes the computation is set and nobody read it.
  void check_all_read() const;

  /// `config.json's "key"`, for messages.
  static std::string field(std::string_view key);

 private:
  const json::object& object_;
  mutable std::set<std::string, std::less<>> read_;
};

/// What nearly every family calls by the same names: vocabulary, widths, heads, layers, context, tied head; all layers
/// alike, every dimension of a head rotated, halves apart. No rope yet.
Config read_common(const HfFields& fields);
/// The rotary table of the whole model: rope_theta and rope_scaling, or rope_parameters, which transformers 5 writes.
RopeSpec read_rope(const HfFields& fields, double default_theta);

}  // namespace glia::models::decoder
