// Weights packed for the CPU kernels (packed_format.h), from file tensors stacked by rows, or found in a store as they
// were packed before.
// Errors: pack throws glia::Error(model_unavailable) for views that do not fit together or types without a kernel, and
// out_of_capacity when memory is short. Thread rule: const access from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/device.h"
#include "kernels/packed_store.h"
#include "kernels/page_buffer.h"

namespace glia::kernels {

class CpuMatrix final : public Matrix {
 public:
  /// One file tensor.
  struct Part {
    tensor::DType type = tensor::DType::f32;  ///< of the packed form
    bool words = false;                       ///< packed as integers of 12 bits instead (packed_format.h)
    std::int64_t first_row = 0;
    std::int64_t rows = 0;
    std::int64_t first_group = 0;
    std::int64_t groups = 0;  ///< of 16 rows
    std::size_t group_bytes = 0;
    std::size_t scale_offset = 0;        ///< within a group
    int scale_shift = 0;                 ///< of MatmulTask
    const std::uint8_t* data = nullptr;  ///< in the matrix' memory

    std::size_t bytes() const { return group_bytes * static_cast<std::size_t>(groups); }
    const std::uint8_t* group(std::int64_t g) const { return data + static_cast<std::size_t>(g) * group_bytes; }
  };

  /// `floats`: what becomes of float weights. `store`: asked first, and told what it did not have; or null.
  static std::unique_ptr<CpuMatrix> pack(std::span<const tensor::View> parts, FloatWeights floats, ThreadPool& pool,
                                         PackedStore* store = nullptr);

  std::int64_t rows() const override { return rows_; }
  std::int64_t cols() const override { return cols_; }
  std::size_t bytes() const override { return bytes_; }

  std::int64_t groups() const { return groups_; }
  const std::vector<Part>& parts() const { return parts_; }
  bool has_quantised() const { return has_quantised_; }
  bool has_float() const { return has_float_; }
  bool has_words() const { return has_words_; }

  /// out[j] = w[row, j] as it was packed.
  void read_row(std::int64_t row, float* out) const;

 private:
  void lay_out(std::span<const tensor::View> views, FloatWeights floats);
  std::uint64_t store_key() const;
  void pack_rows(std::span<const tensor::View> views, ThreadPool& pool);

  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::int64_t groups_ = 0;
  bool has_quantised_ = false;
  bool has_float_ = false;
  bool has_words_ = false;
  std::size_t bytes_ = 0;  ///< of all parts, in whole pages
  std::vector<Part> parts_;
  PageBuffer packed_;  ///< one for all parts: a stack of a hundred small experts still lies in huge pages
  std::shared_ptr<const std::uint8_t> found_;  ///< or the store's memory
};

}  // namespace glia::kernels
