#include "kernels/rounded_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/packed_format.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using Part = CpuMatrix::Part;

float float_at(const std::byte* in, std::int64_t k) {
  float value;
  std::memcpy(&value, in + static_cast<std::size_t>(k) * sizeof(float), sizeof(value));
  return value;
}

}  // namespace

void choose_form(Part& part, const tensor::View& view, FloatWeights floats) {
  part.type = view.dtype;
  part.words = false;
  const bool may = view.dtype == DType::f32 || view.dtype == DType::f16 || view.dtype == DType::bf16;
  if (!may || view.cols() % kBlockCols != 0) return;
  if (floats == FloatWeights::int8) part.type = DType::q8_0;
  part.words = floats == FloatWeights::int12;
}

void WordPacker::lay_out(Part& part, std::int64_t cols) {
  const auto segments = static_cast<std::size_t>((cols + kWordCols - 1) / kWordCols);
  part.scale_offset = static_cast<std::size_t>(cols) * kGroupRows * sizeof(std::int16_t);
  part.group_bytes = part.scale_offset + segments * kGroupRows * sizeof(float);
}

bool WordPacker::pack_row(const std::byte* in, std::int64_t cols, std::uint8_t* group, std::size_t scale_offset,
                          int row) {
  auto* words = reinterpret_cast<std::int16_t*>(group);
  auto* scales = reinterpret_cast<float*>(group + scale_offset) + row;
  for (std::int64_t first = 0; first < cols; first += kWordCols, scales += kGroupRows) {
    const std::int64_t end = std::min<std::int64_t>(cols, first + kWordCols);
    float most = 0;
    for (std::int64_t k = first; k < end; k++) {
      most = std::max(most, std::fabs(float_at(in, k)));
    }
    *scales = most / kMostWordWeight;
    // In float64: 1 / scale of the smallest floats would be beyond float32.
    const double inverse = most > 0 ? kMostWordWeight / static_cast<double>(most) : 0;
    for (std::int64_t k = first; k < end; k++) {
      const double w = float_at(in, k);
      words[(k / 2 * kGroupRows + row) * 2 + k % 2] = static_cast<std::int16_t>(std::lrint(w * inverse));
    }
  }
  return true;
}

void WordPacker::read_row(const Part& part, std::int64_t cols, const std::uint8_t* group, int row, float* out) {
  const auto* words = reinterpret_cast<const std::int16_t*>(group);
  const auto* scales = reinterpret_cast<const float*>(group + part.scale_offset) + row;
  for (std::int64_t k = 0; k < cols; k++) {
    out[k] = scales[k / kWordCols * kGroupRows] * static_cast<float>(words[(k / 2 * kGroupRows + row) * 2 + k % 2]);
  }
}

std::span<const std::byte> RoundedRows::converted(std::span<const std::byte> rows, std::atomic<bool>& good) {
  if (!part_.words && part_.type == from_) return rows;
  floats_.resize(rows.size() / tensor::info(from_).bytes);
  tensor::dequantize_row(from_, rows, floats_);
  const float most = part_.words ? std::numeric_limits<float>::max() : 127 * 65504.0F;  // Q8_0's scales are float16
  if (!std::all_of(floats_.begin(), floats_.end(), [most](float w) { return std::fabs(w) <= most; })) good = false;
  if (part_.words) return std::as_bytes(std::span(floats_));
  rounded_.resize(tensor::row_bytes(part_.type, floats_.size()));
  if (good) tensor::quantize_row(part_.type, floats_, rounded_);
  return rounded_;
}

}  // namespace glia::kernels
