// Typed access to the metadata "<architecture>.*" of a GGUF. Remembers what was read: a key that nobody asked for is
// refused, because ignoring it might compute something else.
// Errors: glia::Error(model_unavailable) naming the key.
// Ownership: borrows the file. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "formats/gguf.h"
#include "models/decoder/description.h"

namespace glia::models::decoder {

class GgufFields {
 public:
  explicit GgufFields(const formats::GgufFile& file);

  const formats::GgufFile& file() const { return file_; }
  const std::string& architecture() const { return architecture_; }
  /// The full name of a key; marks it as read.
  const std::string& key(std::string_view name) const;

  bool has(std::string_view name) const { return file_.has(key(name)); }
  /// One number, or an array that repeats one number (files may give heads per layer).
  std::int32_t dimension_at(std::string_view name, std::uint64_t most) const;
  std::int32_t dimension_or(std::string_view name, std::uint64_t most, std::int32_t fallback) const;
  /// attention.sliding_window; 0: none.
  std::int32_t window_or(std::int32_t fallback) const;
  double number_at(std::string_view name) const { return file_.number(key(name)); }
  double number_or(std::string_view name, double fallback) const {
    return file_.find_number(key(name)).value_or(fallback);
  }
  std::string_view string_or(std::string_view name, std::string_view fallback) const {
    return file_.find_string(key(name)).value_or(fallback);
  }

  /// As number_or. Errors: also outside [least, most].
  double number_or(std::string_view name, double fallback, double least, double most) const;

  /// Errors: when a key of this architecture was not read, and neither says nothing about the computation nor holds the
  /// value that leaves it alone.
  void check_all_read() const;

 private:
  const formats::GgufFile& file_;
  std::string architecture_;
  mutable std::set<std::string, std::less<>> read_;
};

/// What every architecture calls by the same names: widths, heads, layers, context, one rotary table for all layers,
/// and by the tensors of the first layer which biases there are and whether queries, keys and values are one tensor.
Description read_common(const GgufFields& fields, double default_theta = 10000.0);

}  // namespace glia::models::decoder
