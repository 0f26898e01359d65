// Writes GGUF files (version 2 or 3): test fixtures, fuzz seeds, small trained models.
// Source: the GGUF specification (ggml docs/gguf.md).
// Errors: programmer errors (a tensor whose bytes do not fit its shape, a key given twice) throw glia::Error(internal);
// write() throws glia::Error(internal) when the file cannot be written.
// Ownership: copies all it is given. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/dtype.h"

namespace glia::formats {

class GgufWriter {
 public:
  /// Alternatives in no special order; each is stored as exactly that GGUF type.
  using Scalar = std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                              float, bool, std::string, std::uint64_t, std::int64_t, double>;

  explicit GgufWriter(std::uint32_t version = 3, std::uint32_t alignment = 32);

  GgufWriter& set(std::string_view key, const Scalar& value);
  /// All elements must hold the same alternative; `values` must not be empty.
  GgufWriter& set_array(std::string_view key, std::span<const Scalar> values);
  GgufWriter& set_strings(std::string_view key, std::span<const std::string> values);

  /// `shape` is outermost first, as tensor::View has it; `data` in the layout of `dtype`.
  GgufWriter& add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                         std::span<const std::byte> data);
  /// Rounds `values` to `dtype` first (tensor::quantize_row, row by row).
  GgufWriter& add_tensor(std::string_view name, tensor::DType dtype, std::span<const std::uint64_t> shape,
                         std::span<const float> values);

  /// The whole file.
  std::vector<std::byte> bytes() const;
  void write(const std::filesystem::path& path) const;

 private:
  struct Tensor {
    std::string name;
    tensor::DType dtype;
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> data;
  };
  void begin_key(std::string_view key);

  std::uint32_t version_;
  std::uint32_t alignment_;
  std::vector<std::string> keys_;
  std::vector<std::byte> metadata_;  // encoded key-value pairs
  std::vector<Tensor> tensors_;
};

}  // namespace glia::formats
