// Causal attention of up to kQueries queries over one kv head's pages of float32, float16 or bfloat16 keys and values,
// in float32 arithmetic; and the merging of what several threads computed, of any kind.
#include GLIA_SIMD_HEADER

#include "kernels/isa/attention_tile.h"
#include "kernels/isa/rows.h"

namespace glia::kernels::GLIA_ISA {
namespace {

struct Float32 {
  using Stored = float;
  GLIA_INLINE_MEMBER static F read(const float* p) { return load(p); }
};
struct Float16 {
  using Stored = std::uint16_t;
  GLIA_INLINE_MEMBER static F read(const std::uint16_t* p) { return load(p); }
};
struct Bfloat16 {
  using Stored = std::uint16_t;
  GLIA_INLINE_MEMBER static F read(const std::uint16_t* p) { return load_bf16(p); }
};

/// sums[q][:] += weights[q][i] * values[i][:], columns vectors x 16 at a time.
template <class Element, int Q, int vectors>
GLIA_INLINE void add_values(const typename Element::Stored* values, std::int64_t stride, const float* weights,
                            std::int32_t count, float* sums, std::int64_t sum_stride) {
  F acc[Q][vectors];
  for (int q = 0; q < Q; q++) {
    for (int v = 0; v < vectors; v++) acc[q][v] = load(sums + q * sum_stride + 16 * v);
  }
  for (std::int32_t i = 0; i < count; i++, values += stride) {
    F value[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) value[v] = Element::read(values + 16 * v);
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
class FloatKv {
 public:
  FloatKv(const AttentionTask& task, float* scratch)
      : task_(task), queries_(scratch), scores_(scratch + task.kv.value_cols * kMaxQueries) {
    for (int q = 0; q < Q; q++) {
      for (std::int32_t d = 0; d < task.kv.head_dim; d++) {
        queries_[d * kMaxQueries + q] = task.q[q][d] * task.scale[q];
      }
    }
  }

  GLIA_INLINE_MEMBER void block(std::int32_t first, std::int32_t n, const std::int32_t* from, const std::int32_t* valid,
                                Running* running, float* sums) {
    const std::int64_t cols = task_.kv.value_cols;
    Run runs[kAttentionBlock];
    const int count = find_runs(runs, task_, first, n, kAttentionBlock);
    for (int r = 0; r < count; r++) score(runs[r]);
    for (int q = 0; q < Q; q++) {
      float* scores = scores_ + q * kScoreStride;
      if (task_.softcap > 0 && valid[q] > 0) softcap(scores, valid[q], task_.softcap);
      const F factor = set1(soften(scores, from[q], valid[q], running[q]));
      for (std::int64_t c = 0; c < cols; c += 16) store(sums + q * cols + c, mul(load(sums + q * cols + c), factor));
    }
    for (int r = 0; r < count; r++) weigh(runs[r], sums);
  }

 private:
  using Stored = typename Element::Stored;

  /// scores[q][i] = queries[:, q] . keys[:, i]
  GLIA_INLINE_MEMBER void score(const Run& run) {
    const auto* keys = reinterpret_cast<const Stored*>(run.keys) + run.slot;
    for (std::int32_t c = 0; c < run.count; c += 16) {
      F dot[Q];
      for (int q = 0; q < Q; q++) dot[q] = zero();
      const Stored* k = keys + c;
      for (std::int32_t d = 0; d < task_.kv.head_dim; d++, k += task_.kv.slots) {
        const F key = Element::read(k);
#pragma GCC unroll 8
        for (int q = 0; q < Q; q++) dot[q] = fma(key, set1(queries_[d * kMaxQueries + q]), dot[q]);
      }
      for (int q = 0; q < Q; q++) store(scores_ + q * kScoreStride + run.offset + c, dot[q]);
    }
  }

  /// Turns the scores [begin, valid) of a block into weights exp(score - most), the others into 0. Returns the factor
  /// for what was summed before.
  GLIA_INLINE_MEMBER static float soften(float* scores, int begin, int valid, Running& running) {
    const float next = most_of(scores, begin, valid, running.most);
    F total = zero();
    for (int i = 0; i < kAttentionBlock; i += 16) {
      F weight = zero();
      if (i < valid && i + 16 > begin) {
        weight = keep_seen(exp(sub(load(scores + i), set1(next))), i, begin, valid);
      }
      store(scores + i, weight);
      total = add(total, weight);
    }
    const float factor = exp_of(running.most - next);
    running.total = running.total * factor + sum(total);
    running.most = next;
    return factor;
  }

  GLIA_INLINE_MEMBER void weigh(const Run& run, float* sums) {
    const std::int64_t cols = task_.kv.value_cols;
    const auto* values = reinterpret_cast<const Stored*>(run.values) + run.slot * cols;
    const float* weights = scores_ + run.offset;
    std::int64_t c = 0;
    for (; c + 32 <= cols; c += 32) add_values<Element, Q, 2>(values + c, cols, weights, run.count, sums + c, cols);
    if (c < cols) add_values<Element, Q, 1>(values + c, cols, weights, run.count, sums + c, cols);
  }

  const AttentionTask& task_;
  float* queries_;  ///< [head_dim][kMaxQueries]
  float* scores_;   ///< [Q][kScoreStride], then weights
};

template <class Element>
GLIA_INLINE void dispatch(const AttentionTask& task) {
  for_tokens<kQueries>(task.queries, [&](auto count) {
    constexpr int kCount = decltype(count)::kValue;
    attend_tile<FloatKv<Element, kCount>, kCount>(task);
  });
}

}  // namespace

void attention_f32(const AttentionTask& task) { dispatch<Float32>(task); }
void attention_f16(const AttentionTask& task) { dispatch<Float16>(task); }
void attention_bf16(const AttentionTask& task) { dispatch<Bfloat16>(task); }

void attention_merge(const AttentionTask& task, const float* partials, int chunks) {
  const std::int32_t cols = task.kv.value_cols;
  float* merged = task.scratch;
  for (int q = 0; q < task.queries; q++) {
    Running running = start(task, q);
    for (std::int32_t c = 0; c < cols; c += 16) store(merged + c, zero());
    for (int i = 0; i < chunks; i++) {
      const float* partial = partials + (std::int64_t{i} * task.queries + q) * (kPartialHead + cols);
      merge(running, merged, partial[0], partial[1], partial + kPartialHead, cols);
    }
    finish(task.out[q], merged, running.total, task.kv.head_dim);
  }
}

}  // namespace glia::kernels::GLIA_ISA
