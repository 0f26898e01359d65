// A borrowed, read-only, row-major tensor in host memory, as a weight file holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace glia::tensor {

/// `shape` is outermost first ([rows, cols] for a matrix, as in PyTorch; GGUF's reversed order is turned by its
/// reader). Invariant, kept by the file readers: data.size() == product(shape[:-1]) * row_bytes(dtype, shape[-1]).
/// Ownership: the bytes belong to the mapped file. Thread rule: value.
struct View {
  DType dtype = DType::f32;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> data;

  std::uint64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  std::uint64_t rows() const {
    std::uint64_t n = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); i++) n *= shape[i];
    return n;
  }
};

}  // namespace glia::tensor
