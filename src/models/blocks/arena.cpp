#include "models/blocks/arena.h"

#include <cassert>

namespace glia::models {

void Arena::begin(std::int64_t floats) {
  used_ = 0;
  if (floats <= size_) return;
  memory_.reset();  // before the new one, so that the two never stand side by side
  size_ = 0;
  memory_ = device_.allocate(static_cast<std::size_t>(floats) * sizeof(float));
  size_ = floats;
}

kernels::Tensor Arena::take(std::int64_t rows, std::int64_t cols) {
  const std::int64_t need = floats(rows, cols);
  assert(used_ + need <= size_);
  float* data = reinterpret_cast<float*>(memory_->data()) + used_;
  used_ += need;
  return {data, rows, cols, stride(cols)};
}

}  // namespace glia::models
