// Causal attention of up to kQueries queries over one kv head's pages, by the online softmax: positions in blocks of
// kAttentionBlock counted from 0, a running maximum, sum and weighted values per query. Everything a query's result
// depends on is computed in an order fixed by absolute positions, so neither the tile, nor the batch, nor the page size
// changes its bits. A window starts a query in the middle of a block; what lies before it there weighs nothing.
// Source: Milakov and Gimelshein 2018 (online softmax); Dao et al. 2022 (blocking).
#include GLIA_SIMD_HEADER

#include "kernels/isa/exp.h"
#include "kernels/isa/rows.h"
#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kScoreStride = kAttentionBlock + 16;  // the last vector of a page may reach past the block

/// Calls body(page, slot, offset, count) for the runs of positions [first, first + n) that lie in one page.
template <class Body>
GLIA_INLINE void for_runs(const AttentionTask& task, std::int32_t first, std::int32_t n, Body body) {
  for (std::int32_t done = 0; done < n;) {
    const std::int32_t position = first + done;
    const std::int32_t slot = position % task.kv.page_tokens;
    std::int32_t count = task.kv.page_tokens - slot;
    if (count > n - done) count = n - done;
    body(task.pages[position / task.kv.page_tokens], slot, done, count);
    done += count;
  }
}

/// scores[q][i] = queries[:, q] . keys[:, first + i]. queries: [head_dim][8]
template <class Element, int Q>
GLIA_INLINE void score(const AttentionTask& task, const float* queries, float* scores, std::int32_t first,
                       std::int32_t n) {
  for_runs(task, first, n, [&](std::int64_t page, std::int32_t slot, std::int32_t offset, std::int32_t count) {
    const auto* keys = reinterpret_cast<const Element*>(task.kv.keys + page * task.kv.page_bytes) + slot;
    for (std::int32_t c = 0; c < count; c += 16) {
      F dot[Q];
      for (int q = 0; q < Q; q++) dot[q] = zero();
      const Element* k = keys + c;
      for (std::int32_t d = 0; d < task.kv.head_dim; d++, k += task.kv.slots) {
        const F key = load(k);
#pragma GCC unroll 8
        for (int q = 0; q < Q; q++) dot[q] = fma(key, set1(queries[d * kMaxQueries + q]), dot[q]);
      }
      for (int q = 0; q < Q; q++) store(scores + q * kScoreStride + offset + c, dot[q]);
    }
  });
}

struct Running {
  float most = -1e30F;  ///< largest score so far
  float total = 0;      ///< sum of exp(score - most)
};

/// Turns the scores [begin, valid) of a block into weights exp(score - most), the others into 0. Returns the factor for
/// what was summed before.
GLIA_INLINE float soften(float* scores, int begin, int valid, Running& running) {
  const int whole = begin / 16 * 16;
  for (int i = whole; i < begin; i++) scores[i] = running.most;  // finite, and no new maximum
  F most = set1(running.most);
  for (int i = whole; i < valid; i += 16) {
    const F s = load(scores + i);
    most = max(most, valid - i >= 16 ? s : keep_first(s, valid - i, running.most));
  }
  const float next = largest(most);
  F total = zero();
  for (int i = 0; i < kAttentionBlock; i += 16) {
    F weight = zero();
    if (i < valid && i >= whole) {
      weight = exp(sub(load(scores + i), set1(next)));
      if (i < begin) weight = mul(weight, keep_first(zero(), begin - i, 1.0F));
      if (valid - i < 16) weight = keep_first(weight, valid - i, 0.0F);
    }
    store(scores + i, weight);
    total = add(total, weight);
  }
  float lanes[16];
  store(lanes, exp(set1(running.most - next)));
  running.total = running.total * lanes[0] + sum(total);
  running.most = next;
  return lanes[0];
}

/// sums[q][:] += weights[q][i] * values[first + i][:], columns kVectors x 16 at a time.
template <class Element, int Q, int vectors>
GLIA_INLINE void add_values(const Element* values, std::int64_t stride, const float* weights, std::int32_t count,
                            float* sums, std::int64_t sum_stride) {
  F acc[Q][vectors];
  for (int q = 0; q < Q; q++) {
    for (int v = 0; v < vectors; v++) acc[q][v] = load(sums + q * sum_stride + 16 * v);
  }
  for (std::int32_t i = 0; i < count; i++, values += stride) {
    F value[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) value[v] = load(values + 16 * v);
#pragma GCC unroll 8
    for (int q = 0; q < Q; q++) {
      const F weight = set1(weights[q * kScoreStride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) acc[q][v] = fma(weight, value[v], acc[q][v]);
    }
  }
  for (int q = 0; q < Q; q++) {
    for (int v = 0; v < vectors; v++) store(sums + q * sum_stride + 16 * v, acc[q][v]);
  }
}

template <class Element, int Q>
GLIA_INLINE void weigh(const AttentionTask& task, const float* weights, float* sums, std::int32_t first,
                       std::int32_t n) {
  const std::int64_t cols = task.kv.value_cols;
  for_runs(task, first, n, [&](std::int64_t page, std::int32_t slot, std::int32_t offset, std::int32_t count) {
    const auto* values = reinterpret_cast<const Element*>(task.kv.values + page * task.kv.page_bytes) + slot * cols;
    std::int64_t c = 0;
    for (; c + 32 <= cols; c += 32) {
      add_values<Element, Q, 2>(values + c, cols, weights + offset, count, sums + c, cols);
    }
    if (c < cols) add_values<Element, Q, 1>(values + c, cols, weights + offset, count, sums + c, cols);
  });
}

GLIA_INLINE void finish(const AttentionTask& task, const float* sums, const Running* running, int queries) {
  for (int q = 0; q < queries; q++) {
    const F factor = set1(1.0F / running[q].total);
    const std::int32_t dim = task.kv.head_dim;
    for (std::int32_t c = 0; c < dim; c += 16) {
      const F value = mul(load(sums + q * task.kv.value_cols + c), factor);
      if (dim - c >= 16) {
        store(task.out[q] + c, value);
      } else {
        store_first(task.out[q] + c, value, dim - c);
      }
    }
  }
}

template <class Element, int Q>
void tile(const AttentionTask& task) {
  const std::int32_t dim = task.kv.head_dim;
  const std::int32_t cols = task.kv.value_cols;
  float* queries = task.scratch;
  float* scores = queries + cols * kMaxQueries;
  float* sums = scores + kScoreStride * kMaxQueries;
  std::int32_t length = 0;
  std::int32_t begin = task.first[0];
  Running running[Q];
  for (int q = 0; q < Q; q++) {
    if (task.length[q] > length) length = task.length[q];
    if (task.first[q] < begin) begin = task.first[q];
    if (task.has_sinks) running[q] = {task.sink[q], 1.0F};  // a position seen before all others, of no value
    for (std::int32_t d = 0; d < dim; d++) queries[d * kMaxQueries + q] = task.q[q][d] * task.scale[q];
    for (std::int32_t c = 0; c < cols; c++) sums[q * cols + c] = 0;
  }
  for (std::int32_t first = begin / kAttentionBlock * kAttentionBlock; first < length; first += kAttentionBlock) {
    const std::int32_t n = length - first < kAttentionBlock ? length - first : kAttentionBlock;
    score<Element, Q>(task, queries, scores, first, n);
    for (int q = 0; q < Q; q++) {
      std::int32_t valid = task.length[q] - first;
      if (valid > n) valid = n;
      std::int32_t from = task.first[q] - first;
      if (from < 0) from = 0;
      if (valid <= from) {
        for (int i = 0; i < kAttentionBlock; i += 16) store(scores + q * kScoreStride + i, zero());
        continue;
      }
      if (task.softcap > 0) softcap(scores + q * kScoreStride, valid, task.softcap);
      const F factor = set1(soften(scores + q * kScoreStride, from, valid, running[q]));
      for (std::int32_t c = 0; c < cols; c += 16) store(sums + q * cols + c, mul(load(sums + q * cols + c), factor));
    }
    weigh<Element, Q>(task, scores, sums, first, n);
  }
  finish(task, sums, running, Q);
}

template <class Element>
GLIA_INLINE void dispatch(const AttentionTask& task) {
  for_tokens<kQueries>(task.queries, [&](auto count) { tile<Element, decltype(count)::kValue>(task); });
}

}  // namespace

void attention_f16(const AttentionTask& task) { dispatch<std::uint16_t>(task); }
void attention_f32(const AttentionTask& task) { dispatch<float>(task); }

}  // namespace glia::kernels::GLIA_ISA
