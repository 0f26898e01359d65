// What every block of one forward pass shares. Borrowed for the pass.
#pragma once

#include <cstdint>

#include "kernels/device.h"
#include "models/blocks/arena.h"

namespace glia::models {

struct Step {
  kernels::Device& device;
  kernels::KvCache& cache;
  Arena& arena;
  kernels::Rows rows;  ///< [n]
};

/// Rows [first, first + count) of a batch: those whose result is still needed.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

}  // namespace glia::models
