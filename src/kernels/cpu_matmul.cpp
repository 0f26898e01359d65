// CpuDevice::matmul: packs the activations once, then cuts the product into groups of output rows times panels of
// activation rows. The columns are never cut, so which thread computes an output does not change its bits.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/cpu_device.h"
#include "kernels/cpu_product.h"

namespace glia::kernels {
namespace {

/// Packed activations that one pass over a weight group walks through; they stay in the second-level cache.
constexpr std::int64_t kPanelBytes = 384 << 10;
/// Weights of one piece: small enough that a thread held up elsewhere delays little.
constexpr std::int64_t kPieceBytes = 512 << 10;

const float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

std::int64_t word_segments(std::int64_t cols) { return (cols + kWordCols - 1) / kWordCols; }

}  // namespace

CpuDevice::Product CpuDevice::product_of(Tensor out, const CpuMatrix& w, bool accumulate, const float* bias) const {
  const bool fast = math_ == MathMode::fast;
  return {out, w, accumulate, bias, fast && w.has_quantised(), !fast || w.has_float(), w.has_words()};
}

CpuDevice::PieceShape CpuDevice::shape_of(const Product& product) const {
  const std::int64_t cols = product.w.cols();
  const std::int64_t element = product.floats ? 4 : product.words ? 2 : quant_bytes();
  const std::int64_t panel_bytes = cols * kPanelRows * element + cols / kBlockCols * 128;
  const std::int64_t block_rows = std::max<std::int64_t>(1, kPanelBytes / panel_bytes) * kPanelRows;
  const std::int64_t blocks = (product.out.rows + block_rows - 1) / block_rows;
  const auto group_bytes = static_cast<std::int64_t>(product.w.bytes()) / product.w.groups();
  const std::int64_t share = product.w.groups() * blocks / (std::int64_t{8} * pool_.size());
  const std::int64_t groups = std::clamp<std::int64_t>(share, 1, std::max<std::int64_t>(1, kPieceBytes / group_bytes));
  return {block_rows, (groups + 1) / 2 * 2};  // the kernels take two at a time
}

void CpuDevice::matmul(Tensor out, const Matrix& w, Tensor x, Norm norm, bool accumulate, const float* bias) {
  const auto& m = static_cast<const CpuMatrix&>(w);
  assert(x.cols == m.cols() && out.cols == m.rows() && out.rows == x.rows);
  if (x.rows == 0) return;
  const Product product = product_of(out, m, accumulate, bias);
  reserve_panels(product, x.rows);
  // By panels: rows of one panel share cache lines, which two threads would take from each other.
  for_rows((x.rows + kPanelRows - 1) / kPanelRows, 2 * kPanelRows * x.cols, [&](std::int64_t panel, int worker) {
    const std::int64_t last = std::min<std::int64_t>(x.rows, (panel + 1) * kPanelRows);
    for (std::int64_t r = panel * kPanelRows; r < last; r++) {
      const float factor = norm.weight != nullptr ? kernels_.rms_factor(row(x, r), x.cols, norm.eps) : 1.0F;
      pack_row(product, r, row(x, r), factor, norm.weight, worker);
    }
  });

  const PieceShape shape = shape_of(product);
  const std::int64_t blocks = (x.rows + shape.block_rows - 1) / shape.block_rows;
  const std::int64_t chunks = (m.groups() + shape.piece_groups - 1) / shape.piece_groups;
  pool_.for_each(static_cast<std::uint32_t>(blocks * chunks), [&](std::uint32_t piece, int) {
    const std::int64_t first_group = piece % chunks * shape.piece_groups;
    const std::int64_t first_row = piece / chunks * shape.block_rows;
    multiply(product, {first_group, std::min(first_group + shape.piece_groups, m.groups()), first_row,
                       std::min(shape.block_rows, x.rows - first_row), 0});
  });
}

void CpuDevice::reserve_panels(const Product& product, std::int64_t rows) {
  const std::int64_t cols = product.w.cols();
  const auto elements = static_cast<std::size_t>((rows + kPanelRows - 1) / kPanelRows * kPanelRows * cols);
  if (product.quantised) {
    x_quants_.reserve(elements * static_cast<std::size_t>(quant_bytes()));
    x_scales_.reserve(elements / (kBlockCols * kPanelRows) * sizeof(BlockScales));
  }
  if (product.words) {
    const auto segments = elements / static_cast<std::size_t>(cols) * static_cast<std::size_t>(word_segments(cols));
    x_words_.reserve(segments * kWordCols * sizeof(std::int16_t));
    x_word_scales_.reserve(segments * sizeof(float));
  }
  if (product.floats) {
    x_floats_.reserve(elements * sizeof(float));
    for (PageBuffer& scratch : row_scratch_) scratch.reserve(static_cast<std::size_t>(cols) * sizeof(float));
  }
}

void CpuDevice::pack_row(const Product& product, std::int64_t r, const float* x, float factor, const float* weight,
                         int worker) {
  const std::int64_t cols = product.w.cols();
  const std::int64_t panel = r / kPanelRows;
  const std::int64_t lane = r % kPanelRows;
  if (product.quantised) {
    const auto quantize = int8_ ? kernels_.quantize_row_int8 : kernels_.quantize_row;
    quantize(x_quants_.as<std::int8_t>() + panel * cols * kPanelRows * quant_bytes(),
             x_scales_.as<BlockScales>() + panel * (cols / kBlockCols), static_cast<int>(lane), x, cols, factor,
             weight);
  }
  if (product.words) {
    const std::int64_t segment = panel * word_segments(cols);
    kernels_.quantize_row_words(x_words_.as<std::int16_t>() + segment * kPanelRows * kWordCols,
                                x_word_scales_.as<float>() + segment * kPanelRows, static_cast<int>(lane), x, cols,
                                factor, weight);
  }
  if (product.floats) {
    auto* scaled = row_scratch_[static_cast<std::size_t>(worker)].as<float>();
    kernels_.scale_row(scaled, x, cols, factor, weight);
    float* to = x_floats_.as<float>() + panel * cols * kPanelRows + lane;
    for (std::int64_t k = 0; k < cols; k++) to[k * kPanelRows] = scaled[k];
  }
}

void CpuDevice::multiply(const Product& product, const Piece& piece) const {
  MatmulTask task;
  task.cols = product.w.cols();
  task.x_quants = x_quants_.as<std::int8_t>();
  task.x_scales = x_scales_.as<BlockScales>();
  task.x_floats = x_floats_.as<float>();
  task.first_row = piece.first_row;
  task.rows = piece.rows;
  task.out_stride = product.out.stride;
  task.accumulate = product.accumulate;
  const std::vector<CpuMatrix::Part>& parts = product.w.parts();
  auto at = std::partition_point(parts.begin(), parts.end(), [&](const CpuMatrix::Part& p) {
    return p.first_group + p.groups <= piece.first_group;
  });
  for (; at != parts.end() && at->first_group < piece.last_group; ++at) {
    const CpuMatrix::Part& part = *at;
    const std::int64_t begin = std::max<std::int64_t>(0, piece.first_group - part.first_group);
    const std::int64_t end = std::min(part.groups, piece.last_group - part.first_group);
    if (part.words) {
      multiply_words(product, piece, part, begin, end);
      continue;
    }
    const auto type = static_cast<std::size_t>(part.type);
    const MatmulKernel* const integers = int8_ ? kernels_.matmul_int8 : kernels_.matmul_fast;
    const MatmulKernel fast = math_ == MathMode::fast ? integers[type] : nullptr;
    const MatmulKernel kernel = fast != nullptr ? fast : kernels_.matmul_exact[type];
    const std::int64_t step = fast != nullptr ? end - begin : 1;
    task.group_bytes = static_cast<std::int64_t>(part.group_bytes);
    task.scale_shift = part.scale_shift;
    for (std::int64_t g = begin; g < end; g += step) {
      const std::int64_t output = part.first_row + g * kGroupRows;
      const std::int64_t last = g + step - 1;
      task.groups = step;
      task.quants = part.group(g);
      task.scales = part.group(g) + part.scale_offset;
      task.out = product.out.data + (output - piece.first_output);
      task.bias = product.bias != nullptr ? product.bias + output : nullptr;
      task.lanes = static_cast<int>(std::min<std::int64_t>(kGroupRows, part.rows - last * kGroupRows));
      task.more_groups = last + 1 < part.groups;
      kernel(task);
    }
  }
}

void CpuDevice::multiply_words(const Product& product, const Piece& piece, const CpuMatrix::Part& part,
                               std::int64_t begin, std::int64_t end) const {
  const std::int64_t output = part.first_row + begin * kGroupRows;
  kernels_.matmul_words(
      {.groups = end - begin,
       .group_bytes = static_cast<std::int64_t>(part.group_bytes),
       .weights = part.group(begin),
       .cols = product.w.cols(),
       .x = x_words_.as<std::int16_t>(),
       .x_scales = x_word_scales_.as<float>(),
       .first_row = piece.first_row,
       .rows = piece.rows,
       .out = product.out.data + (output - piece.first_output),
       .out_stride = product.out.stride,
       .lanes = static_cast<int>(std::min<std::int64_t>(kGroupRows, part.rows - (end - 1) * kGroupRows)),
       .accumulate = product.accumulate,
       .bias = product.bias != nullptr ? product.bias + output : nullptr});
}

}  // namespace glia::kernels
