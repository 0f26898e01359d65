#include "models/blocks/attention.h"

#include <cassert>

namespace glia::models {

using kernels::Tensor;

void AttentionBlock::forward(Step& step, std::int32_t layer, const kernels::Rope& rope, Tensor out, Tensor x,
                             const kernels::Norm& norm, RowRange wanted, bool accumulate) const {
  const auto start = step.arena.mark();
  const Tensor qkv = step.arena.take(x.rows, shape_.qkv_cols());
  step.device.matmul(qkv, *weights_.qkv, x, norm, /*accumulate=*/false, weights_.qkv_bias.data());
  const Tensor all_q = qkv.slice_cols(0, shape_.q_cols());
  const Tensor k = qkv.slice_cols(shape_.q_cols(), shape_.kv_cols());
  const Tensor v = qkv.slice_cols(shape_.q_cols() + shape_.kv_cols(), shape_.kv_cols());
  if (weights_.q_norm.data() != nullptr) {
    step.device.head_norm(all_q, shape_.head_dim, {weights_.q_norm.data(), shape_.norm_eps});
    step.device.head_norm(k, shape_.head_dim, {weights_.k_norm.data(), shape_.norm_eps});
  }
  // Queries and keys lie side by side and turn by the same angles.
  step.device.rope(qkv.slice_cols(0, shape_.q_cols() + shape_.kv_cols()), shape_.head_dim, rope, step.rows.positions);
  if (step.cache != nullptr) step.device.kv_write(*step.cache, layer, k, v, step.rows);
  if (wanted.count > 0) {
    const Tensor q = all_q.slice_rows(wanted.first, wanted.count);
    const Tensor mixed = step.arena.take(wanted.count, shape_.q_cols());
    if (step.cache != nullptr) {
      attend_cache(step, layer, mixed, q, wanted);
    } else {
      attend_texts(step, mixed, q, k, v);
    }
    step.device.matmul(out, *weights_.out, mixed, {}, accumulate, weights_.out_bias.data());
  }
  step.arena.rewind(start);
}

void AttentionBlock::attend_cache(Step& step, std::int32_t layer, Tensor out, Tensor q, RowRange wanted) const {
  const auto first = static_cast<std::size_t>(wanted.first);
  const auto count = static_cast<std::size_t>(wanted.count);
  step.device.attention(
      out, q, *step.cache, layer,
      {.scale = shape_.scale, .window = shape_.window, .softcap = shape_.softcap, .sinks = weights_.sinks.data()},
      {step.rows.positions.subspan(first, count), step.rows.sequences.subspan(first, count), step.rows.page_tables});
}

void AttentionBlock::attend_texts(Step& step, Tensor out, Tensor q, Tensor k, Tensor v) const {
  assert(q.rows == k.rows && shape_.softcap == 0 && weights_.sinks.data() == nullptr);
  step.device.text_attention(out, q, k, v, step.texts,
                             {.kv_heads = shape_.kv_heads,
                              .head_dim = shape_.head_dim,
                              .scale = shape_.scale,
                              .window = shape_.window,
                              .causal = !shape_.both_ways});
}

std::int64_t AttentionBlock::scratch_floats(std::int64_t n) const {
  return Arena::floats(n, shape_.qkv_cols()) + Arena::floats(n, shape_.q_cols());
}

std::size_t AttentionBlock::bytes() const {
  std::size_t n = weights_.qkv->bytes() + weights_.out->bytes();
  for (const DeviceVector* v :
       {&weights_.qkv_bias, &weights_.q_norm, &weights_.k_norm, &weights_.sinks, &weights_.out_bias}) {
    n += v->bytes();
  }
  return n;
}

}  // namespace glia::models
