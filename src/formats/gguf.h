// GGUF files, versions 2 and 3, memory-mapped and checked whole before any view of them exists: every length, count and
// offset against the file (overflow-safe), shapes against block sizes, no name twice, no two tensors over each other or
// over the header. Memory is bounded by the file, never by a count that it claims.
// Tensor types: F32 F16 BF16 I64 I32 I8 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4; any
// other is refused by its name. Source: the GGUF specification (ggml docs/gguf.md). Errors: open() throws
// glia::Error(model_unavailable) with what is wrong and at which byte; getters throw glia::Error(model_unavailable)
// naming the key when it is missing or has another type. Ownership: owns the mapping; strings and views borrow from it.
// Thread rule: const access from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "formats/weight_source.h"

namespace glia::formats {

/// A metadata array: elements of one type, in file order. Integers are widened; nested arrays are refused.
using GgufArray = std::variant<std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string_view>>;
using GgufValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, GgufArray>;

class GgufFile final : public WeightSource {
 public:
  /// A model split into NAME-00001-of-00003.gguf and so on is opened from its first part, which holds the metadata; its
  /// tensors are those of all parts.
  static GgufFile open(const std::filesystem::path& path);
  /// One whole file over bytes in memory that the caller keeps alive (tests, fuzzing).
  static GgufFile parse(std::span<const std::byte> bytes);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile() override;

  std::uint32_t version() const;
  const std::map<std::string, GgufValue, std::less<>>& metadata() const;

  /// A getter without `find_` throws when the key is missing; both kinds throw when it has another type.
  bool has(std::string_view key) const;
  std::string_view string(std::string_view key) const;
  std::uint64_t uint(std::string_view key) const;  ///< any integer type whose value is not negative
  double number(std::string_view key) const;       ///< any integer or float type
  bool boolean(std::string_view key) const;
  const std::vector<std::string_view>& strings(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;  ///< array of any numeric type
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::uint64_t> find_uint(std::string_view key) const;
  std::optional<double> find_number(std::string_view key) const;
  std::optional<bool> find_boolean(std::string_view key) const;

  std::optional<tensor::View> find(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::uint64_t file_bytes() const;  ///< of all parts
  void drop_pages() const override;

 private:
  struct Impl;
  explicit GgufFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::formats
