#include "models/decoder/layer.h"

#include <algorithm>

namespace glia::models::decoder {
namespace {

using kernels::Tensor;

/// Rows of texts whose feed-forward is computed at a time: its activations, the widest of all, then stay in the cache.
constexpr std::int64_t kTextRows = 256;

/// x under its norm: a block's matmul does an RMS norm on its way, a layer norm is done into scratch memory first.
struct Normed {
  Tensor x;
  kernels::Norm norm = {};
};

Normed normed(Step& step, const NormBlock& norm, Tensor x) {
  if (norm.kind == NormKind::rms) return {x, norm.fused()};
  const Tensor out = step.arena.take(x.rows, x.cols);
  norm.forward(step.device, out, x);
  return {out};
}

/// out += block(...), or out += norm(block(...)) where there is a norm behind it. `block` takes where to write and
/// whether to add there.
template <typename Block>
void add_block(Step& step, Tensor out, const std::optional<NormBlock>& post, const Block& block) {
  if (!post) {
    block(out, /*accumulate=*/true);
    return;
  }
  const Tensor result = step.arena.take(out.rows, out.cols);
  block(result, /*accumulate=*/false);
  if (out.rows == 0) return;
  post->forward(step.device, result, result);
  step.device.add(out, result);
}

}  // namespace

void Layer::forward(Step& step, std::int32_t index, const kernels::Rope& rope, Tensor hidden, RowRange needed) const {
  const auto start = step.arena.mark();
  const Tensor out = hidden.slice_rows(needed.first, needed.count);
  const Normed in = normed(step, norms_.attention, hidden);
  if (norms_.mlp) {
    add_block(step, out, norms_.attention_post, [&](Tensor to, bool accumulate) {
      attention_.forward(step, index, rope, to, in.x, in.norm, needed, accumulate);
    });
    step.arena.rewind(start);
    const std::int64_t most = step.cache != nullptr ? out.rows : kTextRows;
    for (std::int64_t first = 0; first < out.rows; first += most) {
      feed_forward(step, out.slice_rows(first, std::min(most, out.rows - first)));
    }
  } else {
    // Both read the norm of what the layer got, so the attention may not write there before the feed-forward has read.
    Tensor n = in.x;
    if (norms_.attention.kind == NormKind::rms) {
      n = step.arena.take(hidden.rows, hidden.cols);
      norms_.attention.forward(step.device, n, hidden);
    }
    attention_.forward(step, index, rope, out, n, {}, needed, /*accumulate=*/true);
    if (needed.count > 0) {
      feed_forward_->forward(step, out, n.slice_rows(needed.first, needed.count), {}, /*accumulate=*/true);
    }
  }
  step.arena.rewind(start);
}

void Layer::feed_forward(Step& step, Tensor rows) const {
  const auto start = step.arena.mark();
  const Normed in = normed(step, *norms_.mlp, rows);
  add_block(step, rows, norms_.mlp_post,
            [&](Tensor to, bool accumulate) { feed_forward_->forward(step, to, in.x, in.norm, accumulate); });
  step.arena.rewind(start);
}

std::int64_t Layer::scratch_floats(std::int64_t n, std::int64_t hidden) const {
  // At most one normalised copy and one result to be normalised beside a block's own.
  return 2 * Arena::floats(n, hidden) + std::max(attention_.scratch_floats(n), feed_forward_->scratch_floats(n));
}

std::int64_t Layer::text_scratch_floats(std::int64_t n, std::int64_t hidden) const {
  if (!norms_.mlp) return scratch_floats(n, hidden);
  return 2 * Arena::floats(n, hidden) +
         std::max(attention_.scratch_floats(n), feed_forward_->scratch_floats(std::min(kTextRows, n)));
}

std::size_t Layer::bytes() const {
  std::size_t n = norms_.attention.bytes() + attention_.bytes() + feed_forward_->bytes();
  for (const auto* norm : {&norms_.attention_post, &norms_.mlp, &norms_.mlp_post}) n += *norm ? (*norm)->bytes() : 0;
  return n;
}

}  // namespace glia::models::decoder
