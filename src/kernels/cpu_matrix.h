// Weights packed for the CPU kernels (packed_format.h), from file tensors stacked by rows.
// Errors: pack throws glia::Error(model_unavailable) for views that do not fit together or types without a kernel, and
// out_of_capacity when memory is short. Thread rule: const access from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/device.h"
#include "kernels/page_buffer.h"

namespace glia::kernels {

class CpuMatrix final : public Matrix {
 public:
  /// One file tensor.
  struct Part {
    tensor::DType type = tensor::DType::f32;
    std::int64_t first_row = 0;
    std::int64_t rows = 0;
    std::int64_t first_group = 0;
    std::int64_t groups = 0;  ///< of 16 rows
    std::size_t group_bytes = 0;
    std::size_t scale_offset = 0;  ///< within a group
    int scale_shift = 0;           ///< of MatmulTask
    std::uint8_t* data = nullptr;  ///< in the matrix' memory

    std::uint8_t* group(std::int64_t g) const { return data + static_cast<std::size_t>(g) * group_bytes; }
  };

  static std::unique_ptr<CpuMatrix> pack(std::span<const tensor::View> parts, ThreadPool& pool);

  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return data_.bytes(); }

  std::int64_t groups() const { return groups_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool has_quantised() const { return has_quantised_; }
  bool has_float() const { return has_float_; }

  /// out[j] = w[row, j], exactly dequantised.
  void read_row(std::int64_t row, float* out) const;

 private:
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t groups_ = 0;
  bool has_quantised_ = false;
  bool has_float_ = false;
  std::vector<Part> parts_;
  PageBuffer data_;  ///< one for all parts: a stack of a hundred small experts still lies in huge pages
};

}  // namespace glia::kernels
