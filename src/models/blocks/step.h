// What every block of one forward pass shares. Borrowed for the pass.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "models/blocks/arena.h"

namespace glia::models {

/// Rows of sequences whose past is in a cache, or whole texts, which need none.
struct Step {
  kernels::Device& device;
  Arena& arena;
  kernels::Rows rows;                        ///< [n]; of whole texts the positions alone
  kernels::KvCache* cache = nullptr;         ///< null: the rows are whole texts
  std::span<const std::int32_t> texts = {};  ///< rows of each of them, end to end
};

/// Rows [first, first + count) of a batch: those whose result is still needed.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

}  // namespace glia::models
