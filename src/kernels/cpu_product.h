// What CpuDevice::matmul and CpuDevice::experts share: one product of packed activations and weights, and how it is
// cut. Thread rule: values.
#pragma once

#include "kernels/cpu_device.h"

namespace glia::kernels {

struct CpuDevice::Product {
  Tensor out;  ///< row r belongs to activation row r of the panels
  const CpuMatrix& w;
  bool accumulate;
  const float* bias;  ///< [w.rows()] or null
  bool quantised;     ///< some part reads activations as integers
  bool floats;        ///< some part reads float activations
  bool words;         ///< some part reads activations for words
};

/// Groups of weights times rows of activations: what one thread computes at a time.
struct CpuDevice::Piece {
  std::int64_t first_group, last_group;
  std::int64_t first_row, rows;  ///< first_row: a multiple of kPanelRows
  std::int64_t first_output;     ///< row of the matrix that is column 0 of `out`
};

/// The largest pieces that a product is cut into.
struct CpuDevice::PieceShape {
  std::int64_t block_rows;  ///< a multiple of kPanelRows
  std::int64_t piece_groups;
};

}  // namespace glia::kernels
