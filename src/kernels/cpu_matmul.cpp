// CpuDevice::matmul: packs the activations once, then cuts the product into groups of output rows times panels of
// activation rows. The columns are never cut, so which thread computes an output does not change its bits.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "kernels/cpu_device.h"

namespace glia::kernels {
namespace {

/// Packed activations that one pass over a weight group walks through; they stay in the second-level cache.
constexpr std::int64_t kPanelBytes = 384 << 10;
/// Weights of one piece: small enough that a thread held up elsewhere delays little.
constexpr std::int64_t kPieceBytes = 512 << 10;

const float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

std::int64_t panels_of(std::int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

}  // namespace

struct CpuDevice::Product {
  Tensor out;
  const CpuMatrix& w;
  Tensor x;
  Norm norm;
  bool accumulate;
  const float* bias;
  bool quantised;  ///< some part reads activations as integers
  bool floats;     ///< some part reads float activations
};

void CpuDevice::matmul(Tensor out, const Matrix& w, Tensor x, Norm norm, bool accumulate, const float* bias) {
  const auto& m = static_cast<const CpuMatrix&>(w);
  assert(x.cols == m.cols() && out.cols == m.rows() && out.rows == x.rows);
  if (x.rows == 0) return;
  const bool fast = math_ == MathMode::fast;
  const Product product{out, m, x, norm, accumulate, bias, fast && m.has_quantised(), !fast || m.has_float()};
  pack_activations(product);

  const std::int64_t panel_bytes = x.cols * kPanelRows * (product.floats ? 4 : kPlanes) + x.cols / kBlockCols * 128;
  const std::int64_t block_rows = std::max<std::int64_t>(1, kPanelBytes / panel_bytes) * kPanelRows;
  const std::int64_t blocks = (x.rows + block_rows - 1) / block_rows;
  const auto group_bytes = static_cast<std::int64_t>(m.bytes()) / m.groups();
  const std::int64_t share = m.groups() * blocks / (std::int64_t{8} * pool_.size());
  const std::int64_t chunk = std::clamp<std::int64_t>(share, 1, std::max<std::int64_t>(1, kPieceBytes / group_bytes));
  const std::int64_t chunks = (m.groups() + chunk - 1) / chunk;
  pool_.for_each(static_cast<std::uint32_t>(blocks * chunks), [&](std::uint32_t piece, int) {
    const std::int64_t first_group = piece % chunks * chunk;
    const std::int64_t first_row = piece / chunks * block_rows;
    multiply(product, first_group, std::min(first_group + chunk, m.groups()), first_row,
             std::min(block_rows, x.rows - first_row));
  });
}

void CpuDevice::pack_activations(const Product& product) {
  const Tensor& x = product.x;
  const std::int64_t cols = x.cols;
  const auto rows = static_cast<std::size_t>(panels_of(x.rows) * kPanelRows);
  const auto elements = rows * static_cast<std::size_t>(cols);
  if (product.quantised) {
    x_quants_.reserve(elements * kPlanes);
    x_scales_.reserve(elements / (kBlockCols * kPanelRows) * sizeof(BlockScales));
  }
  if (product.floats) {
    x_floats_.reserve(elements * sizeof(float));
    for (PageBuffer& scratch : row_scratch_) scratch.reserve(static_cast<std::size_t>(cols) * sizeof(float));
  }
  for_rows(x.rows, 2 * cols, [&](std::int64_t r, int worker) {
    const float* in = row(x, r);
    const float factor = product.norm.weight != nullptr ? kernels_.rms_factor(in, cols, product.norm.eps) : 1.0F;
    const std::int64_t panel = r / kPanelRows;
    const std::int64_t lane = r % kPanelRows;
    if (product.quantised) {
      kernels_.quantize_row(x_quants_.as<std::int8_t>() + panel * cols * kPanelRows * kPlanes,
                            x_scales_.as<BlockScales>() + panel * (cols / kBlockCols), static_cast<int>(lane), in, cols,
                            factor, product.norm.weight);
    }
    if (product.floats) {
      auto* scaled = row_scratch_[static_cast<std::size_t>(worker)].as<float>();
      kernels_.scale_row(scaled, in, cols, factor, product.norm.weight);
      float* to = x_floats_.as<float>() + panel * cols * kPanelRows + lane;
      for (std::int64_t k = 0; k < cols; k++) to[k * kPanelRows] = scaled[k];
    }
  });
}

void CpuDevice::multiply(const Product& product, std::int64_t first_group, std::int64_t last_group,
                         std::int64_t first_row, std::int64_t rows) const {
  MatmulTask task;
  task.cols = product.x.cols;
  task.x_quants = x_quants_.as<std::int8_t>();
  task.x_scales = x_scales_.as<BlockScales>();
  task.x_floats = x_floats_.as<float>();
  task.first_row = first_row;
  task.rows = rows;
  task.out_stride = product.out.stride;
  task.accumulate = product.accumulate;
  for (const CpuMatrix::Part& part : product.w.parts()) {
    const std::int64_t begin = std::max<std::int64_t>(0, first_group - part.first_group);
    const std::int64_t end = std::min(part.groups, last_group - part.first_group);
    const auto type = static_cast<std::size_t>(part.type);
    MatmulKernel kernel = math_ == MathMode::fast ? kernels_.matmul_fast[type] : nullptr;
    if (kernel == nullptr) kernel = kernels_.matmul_exact[type];
    for (std::int64_t g = begin; g < end; g++) {
      const std::int64_t output = part.first_row + g * kGroupRows;
      task.quants = part.group(g);
      task.scales = part.group(g) + part.scale_offset;
      task.out = product.out.data + output;
      task.bias = product.bias != nullptr ? product.bias + output : nullptr;
      task.lanes = static_cast<int>(std::min<std::int64_t>(kGroupRows, part.rows - g * kGroupRows));
      task.next_group = g + 1 < part.groups ? static_cast<std::int64_t>(part.group_bytes) : 0;
      kernel(task);
    }
  }
}

}  // namespace glia::kernels
