// A borrowed, read-only, row-major tensor in host memory, as a weight file holds it or as a reader makes it of what the
// file holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tensor/dtype.h"

namespace glia::tensor {

/// Rows that are not in the file as they stand: made on request, from a layout that has no rows (AWQ, GPTQ) or keeps
/// scales apart (FP8, MXFP4). Ownership: borrows the file's bytes. Thread rule: const, from any thread.
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// Writes rows [first, first + count) of the tensor in its view's dtype. out: count rows of row_bytes.
  virtual void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const = 0;
};

/// `shape` is outermost first ([rows, cols] for a matrix, as in PyTorch; GGUF's reversed order is turned by its
/// reader). Either `data` holds every row, data.size() == bytes(), or `source` makes them and `data` is empty; the file
/// readers keep that. Ownership: the bytes belong to the mapped file. Thread rule: value.
struct View {
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> data;
  std::shared_ptr<const RowSource> source;

  View() = default;
  View(DType type, std::vector<std::uint64_t> dims, std::span<const std::byte> bytes)
      : dtype(type), shape(std::move(dims)), data(bytes) {}
  View(DType type, std::vector<std::uint64_t> dims, std::shared_ptr<const RowSource> rows)
      : dtype(type), shape(std::move(dims)), source(std::move(rows)) {}

  std::uint64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  std::uint64_t rows() const {
    std::uint64_t n = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); i++) n *= shape[i];
    return n;
  }
  /// Of all rows in this dtype.
  std::uint64_t bytes() const { return rows() * row_bytes(dtype, cols()); }
};

/// Rows [first, first + count) of a view's [rows(), cols()]: in the view itself, or made in `scratch`.
std::span<const std::byte> read_rows(const View& view, std::uint64_t first, std::uint64_t count,
                                     std::vector<std::byte>& scratch);
/// Every value, exactly dequantised.
std::vector<float> values_of(const View& view);
/// Rows first, first + step, ... (`count` of them) of a view's [rows(), cols()], as a matrix [count, cols].
View slice_rows(const View& view, std::uint64_t first, std::uint64_t count, std::uint64_t step = 1);

}  // namespace glia::tensor
