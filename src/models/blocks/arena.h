// Scratch memory for the activations of one forward pass: one device allocation, handed out front to back, kept for the
// next pass and replaced only when a larger one comes.
// Ownership: owns the memory; tensors borrow until the next begin(). Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/device.h"

namespace glia::models {

class Arena {
 public:
  explicit Arena(kernels::Device& device) : device_(device) {}

  /// Floats that a [rows, cols] tensor takes here: rows start on 64-byte borders.
  static std::int64_t floats(std::int64_t rows, std::int64_t cols) { return rows * stride(cols); }

  /// Starts a pass that takes at most `floats` floats in all. Contents and tensors of the last pass are gone.
  void begin(std::int64_t floats);
  /// An uninitialised [rows, cols]. Asserts that it fits.
  kernels::Tensor take(std::int64_t rows, std::int64_t cols);
  /// What was taken after `mark()` can be given back with `rewind(mark)`.
  std::int64_t mark() const { return used_; }
  void rewind(std::int64_t mark) { used_ = mark; }

 private:
  static std::int64_t stride(std::int64_t cols) { return (cols + 15) / 16 * 16; }

  kernels::Device& device_;
  std::unique_ptr<kernels::Allocation> memory_;
  std::int64_t size_ = 0;
  std::int64_t used_ = 0;
};

}  // namespace glia::models
