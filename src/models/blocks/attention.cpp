#include "models/blocks/attention.h"

namespace glia::models {

using kernels::Tensor;

void AttentionBlock::forward(Step& step, std::int32_t layer, const kernels::Rope& rope, Tensor out, Tensor x,
                             const kernels::Norm& norm, RowRange wanted, bool accumulate) const {
  const auto start = step.arena.mark();
  const Tensor qkv = step.arena.take(x.rows, shape_.qkv_cols());
  step.device.matmul(qkv, *weights_.qkv, x, norm);
  // Queries and keys lie side by side and turn by the same angles.
  step.device.rope(qkv.slice_cols(0, shape_.q_cols() + shape_.kv_cols()), shape_.head_dim, rope, step.rows.positions);
  const Tensor k = qkv.slice_cols(shape_.q_cols(), shape_.kv_cols());
  const Tensor v = qkv.slice_cols(shape_.q_cols() + shape_.kv_cols(), shape_.kv_cols());
  step.device.kv_write(step.cache, layer, k, v, step.rows);
  if (wanted.count > 0) {
    const auto first = static_cast<std::size_t>(wanted.first);
    const auto count = static_cast<std::size_t>(wanted.count);
    const kernels::Rows rows{step.rows.positions.subspan(first, count), step.rows.sequences.subspan(first, count),
                             step.rows.page_tables};
    const Tensor q = qkv.slice_cols(0, shape_.q_cols()).slice_rows(wanted.first, wanted.count);
    const Tensor mixed = step.arena.take(wanted.count, shape_.q_cols());
    step.device.attention(mixed, q, step.cache, layer, {.scale = shape_.scale}, rows);
    step.device.matmul(out, *weights_.out, mixed, {}, accumulate);
  }
  step.arena.rewind(start);
}

std::int64_t AttentionBlock::scratch_floats(std::int64_t n) const {
  return Arena::floats(n, shape_.qkv_cols()) + Arena::floats(n, shape_.q_cols());
}

std::size_t AttentionBlock::bytes() const { return weights_.qkv->bytes() + weights_.out->bytes(); }

}  // namespace glia::models
