#include "models/decoder/layer.h"

#include <algorithm>

namespace glia::models::decoder {

using kernels::Tensor;

void Layer::forward(Step& step, std::int32_t index, const kernels::Rope& rope, Tensor hidden, RowRange needed) const {
  const Tensor out = hidden.slice_rows(needed.first, needed.count);
  attention_.forward(step, index, rope, out, hidden, {weights_.attention_norm.data(), weights_.norm_eps}, needed,
                     /*accumulate=*/true);
  if (needed.count == 0) return;
  feed_forward_->forward(step, out, out, {weights_.mlp_norm.data(), weights_.norm_eps}, /*accumulate=*/true);
}

std::int64_t Layer::scratch_floats(std::int64_t n) const {
  return std::max(attention_.scratch_floats(n), feed_forward_->scratch_floats(n));
}

std::size_t Layer::bytes() const {
  return weights_.attention_norm.bytes() + weights_.mlp_norm.bytes() + attention_.bytes() + feed_forward_->bytes();
}

}  // namespace glia::models::decoder
