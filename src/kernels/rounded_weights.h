// What becomes of float weights that fast mode may round: words (packed_format.h), or Q8_0. Errors: see RoundedRows.
// Thread rule: free functions of their arguments; a RoundedRows belongs to one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu_matrix.h"
#include "kernels/device.h"
#include "tensor/view.h"

namespace glia::kernels {

/// Sets part.type and part.words to what `floats` makes of a tensor.
void choose_form(CpuMatrix::Part& part, const tensor::View& view, FloatWeights floats);

/// Words, as cpu_matrix.cpp packs every type.
struct WordPacker {
  static constexpr bool kIntegers = true;

  static void lay_out(CpuMatrix::Part& part, std::int64_t cols);
  /// `in`: float32, finite. Always true.
  static bool pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t scale_offset, int row);
  static void read_row(const CpuMatrix::Part& part, std::int64_t cols, const std::uint8_t* group, int row, float* out);
};

/// Rows of a file as the part's packer reads them.
class RoundedRows {
 public:
  RoundedRows(const CpuMatrix::Part& part, tensor::DType from) : part_(part), from_(from) {}

  /// `rows` themselves where nothing is rounded; else what lives until the next call. Sets `good` to false, and gives
  /// nothing of use, for weights that are not finite or too large for the scales.
  std::span<const std::byte> converted(std::span<const std::byte> rows, std::atomic<bool>& good);

 private:
  const CpuMatrix::Part& part_;
  tensor::DType from_;
  std::vector<float> floats_;
  std::vector<std::byte> rounded_;
};

}  // namespace glia::kernels
