// The same over keys and values that are integers of 16 or 8 bits with one scale per position and head. Queries and
// softmax weights become 16-bit integers too, so that both products are integer dot products of pairs: twice the rate
// of float32, and exact, so that no order of summing can change a bit.
//
// No sum of products leaves 32 bits. Queries, and keys of 16 bits, are scaled to a Euclidean length of kMostLength, to
// which rounding adds at most sqrt(head_dim) / 2: by Cauchy and Schwarz a score stays below 2^31 up to head_dim 2^18;
// keys of 8 bits are no longer than 127 sqrt(head_dim), less than those up to 2^16. Weights of kWeightGroup positions
// share one scale: kWeightGroup times the largest weight times the largest value is below 2^31.
#include GLIA_SIMD_HEADER

#include "kernels/isa/attention_tile.h"
#include "kernels/isa/rows.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kWeightGroup = 32;  ///< positions, counted from 0
constexpr int kWeightGroups = kAttentionBlock / kWeightGroup;

template <class Stored>
constexpr float kMostWeight = sizeof(Stored) == 1 ? 32767 : 8191;
static_assert(std::int64_t{kWeightGroup} * 8191 * kMostValue16 < 0x7FFFFFFF);
static_assert(std::int64_t{kWeightGroup} * 32767 * kMostValue8 < 0x7FFFFFFF);

constexpr float kLeast = 1e-30F;  ///< what is smaller counts as nothing
constexpr float kLog2E = 1.442695041F;

/// exp(x) for x <= 0: 2^n 2^f, f in [-0.5, 0.5] by a polynomial of degree 4 with the least relative error and 1 at 0:
/// 2.9e-6 (weights are rounded to 2^-14 of the largest anyway). x below -86 counts as -86.
GLIA_INLINE F exp_weight(F x) {
  const F clamped = max(set1(-86.0F), x);
  const F shifted = fma(clamped, set1(kLog2E), set1(0x1.8p23F));  // n in the low bits, rounded to nearest
  const F n = sub(shifted, set1(0x1.8p23F));
  const F f = sub(mul(clamped, set1(kLog2E)), n);
  F p = set1(0x1.3a02bap-7F);
  p = fma(p, f, set1(0x1.c9fc4cp-5F));
  p = fma(p, f, set1(0x1.ec0378p-3F));
  p = fma(p, f, set1(0x1.62e12cp-1F));
  p = fma(p, f, set1(1.0F));
  return float_bits(add(int_bits(p), shift_left<23>(int_bits(shifted))));
}

template <class Stored, int Q>
class IntKv {
 public:
  IntKv(const AttentionTask& task, float* scratch)
      : task_(task),
        pairs_((task.kv.head_dim + 1) / 2),
        scores_(scratch),
        value_scales_(scores_ + kMaxQueries * kScoreStride),
        queries_(reinterpret_cast<std::int16_t*>(value_scales_ + kScoreStride)),
        weights_(queries_ + 2 * kMaxQueries * pairs_) {
    for (int q = 0; q < Q; q++) {
      const float size = length(task.q[q], task.kv.head_dim);
      const float inverse = size > kLeast ? kMostLength / size : 0.0F;
      query_scale_[q] = size / kMostLength * task.scale[q];
      for (std::int32_t d = 0; d < task.kv.head_dim; d += 32) {
        const std::int32_t n = task.kv.head_dim - d < 32 ? task.kv.head_dim - d : 32;
        std::int16_t row[32] = {};
        to_int16(row, task.q[q] + d, n, inverse);
        for (std::int32_t i = 0; i < n; i += 2) {
          __builtin_memcpy(queries_ + (d + i) * kMaxQueries + 2 * q, row + i, 4);
        }
      }
    }
  }

  GLIA_INLINE_MEMBER void block(std::int32_t first, std::int32_t n, const std::int32_t* from, const std::int32_t* valid,
                                Running* running, float* sums) {
    Run runs[kAttentionBlock];
    const int count = find_runs(runs, task_, first, n, kWeightGroup);
    for (int r = 0; r < count; r++) {
      const Run& run = runs[r];
      if (kPairs > 1 && run.count > 16) {
        score<kPairs>(run, 0);
      } else {
        for (std::int32_t c = 0; c < run.count; c += 16) score<1>(run, c);
      }
    }
    for (int q = 0; q < Q; q++) {
      if (task_.softcap > 0 && valid[q] > 0) softcap(scores_ + q * kScoreStride, valid[q], task_.softcap);
      soften(q, from[q], valid[q], running[q]);
    }
    const std::int32_t cols = task_.kv.value_cols;
    std::int32_t c = 0;
    if (kPairs > 1) {
      for (; c + 32 <= cols; c += 32) weigh<kPairs>(runs, count, n, c, sums + c);
    }
    for (; c < cols; c += 16) weigh<1>(runs, count, n, c, sums + c);
  }

 private:
  /// Scores of vectors x 16 positions of a run, from its position c on.
  template <int vectors>
  GLIA_INLINE_MEMBER void score(const Run& run, std::int32_t c) {
    const std::int64_t stride = 2 * std::int64_t{task_.kv.slots};
    const Stored* keys = reinterpret_cast<const Stored*>(run.keys) + 2 * (run.slot + c);
    const std::int16_t* query = queries_;
    I dot[Q][vectors];
    for (int q = 0; q < Q; q++) {
      for (int v = 0; v < vectors; v++) dot[q][v] = set1_int(0);
    }
    for (std::int32_t d = 0; d < pairs_; d++, keys += stride, query += 2 * kMaxQueries) {
      Words key[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) key[v] = load_words(keys + 32 * v);
#pragma GCC unroll 8
      for (int q = 0; q < Q; q++) {
        const Words pair = set1_pair(query + 2 * q);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) dot[q][v] = add_pairs(dot[q][v], key[v], pair);
      }
    }
    const float* key_scales = reinterpret_cast<const float*>(run.keys + task_.kv.scale_offset) + run.slot + c;
    for (int v = 0; v < vectors; v++) {
      const F scale = load(key_scales + 16 * v);
      store(value_scales_ + run.offset + c + 16 * v, load(key_scales + task_.kv.slots + 16 * v));
      for (int q = 0; q < Q; q++) {
        store(scores_ + q * kScoreStride + run.offset + c + 16 * v,
              mul(mul(to_float(dot[q][v]), scale), set1(query_scale_[q])));
      }
    }
  }

  /// Turns query q's scores [begin, valid) of a block into weights exp(score - most) and those, times the values'
  /// scales, into integers with one scale per kWeightGroup.
  GLIA_INLINE_MEMBER void soften(int q, int begin, int valid, Running& running) {
    float* scores = scores_ + q * kScoreStride;
    std::int16_t* weights = weights_ + q * kAttentionBlock;
    const float next = most_of(scores, begin, valid, running.most);
    F total = zero();
    for (int g = 0; g < kWeightGroups; g++) {
      const int at = g * kWeightGroup;
      if (at >= valid || at + kWeightGroup <= begin) {
        const I none = set1_int(0);
        store_low_words(weights + at, none);
        store_low_words(weights + at + 16, none);
        group_scale_[q][g] = 0;
        continue;
      }
      F weight[2];
      for (int v = 0; v < 2; v++) {
        const int i = at + 16 * v;
        weight[v] = exp_weight(sub(load(scores + i), set1(next)));
        const bool partial = i < begin || valid - i < 16;
        if (partial) weight[v] = keep_some(weight[v], i, begin, valid);
        total = add(total, weight[v]);
        weight[v] = mul(weight[v], load(value_scales_ + i));
        if (partial) weight[v] = keep_some(weight[v], i, 0, valid);  // scales that nobody wrote may be anything
      }
      const float most = largest(max(weight[0], weight[1]));
      const float inverse = most > kLeast ? kMostWeight<Stored> / most : 0.0F;
      group_scale_[q][g] = most * (1.0F / kMostWeight<Stored>);
      store_low_words(weights + at, round(mul(weight[0], set1(inverse))));
      store_low_words(weights + at + 16, round(mul(weight[1], set1(inverse))));
    }
    factor_[q] = exp_of(running.most - next);
    running.total = running.total * factor_[q] + sum(total);
    running.most = next;
  }

  GLIA_INLINE_MEMBER static F keep_some(F weight, int i, int begin, int valid) {
    if (valid <= i || begin >= i + 16) return zero();
    return keep_seen(weight, i, begin, valid);
  }

  /// sums[q][:] = factor sums[q][:] + weights[q][:] values, vectors x 16 columns from c on.
  template <int vectors>
  GLIA_INLINE_MEMBER void weigh(const Run* runs, int count, std::int32_t n, std::int32_t c, float* sums) {
    const std::int32_t cols = task_.kv.value_cols;
    F factor[Q];
    for (int q = 0; q < Q; q++) factor[q] = set1(factor_[q]);
    for (int r = 0, g = 0; r < count; g++) {
      I acc[Q][vectors];
      for (int q = 0; q < Q; q++) {
        for (int v = 0; v < vectors; v++) acc[q][v] = set1_int(0);
      }
      for (; r < count && runs[r].offset < (g + 1) * kWeightGroup; r++) add_run<vectors>(runs[r], n, c, acc);
      for (int q = 0; q < Q; q++) {
        const F scale = set1(group_scale_[q][g]);
        for (int v = 0; v < vectors; v++) {
          float* sum = sums + q * cols + 16 * v;
          F before = load(sum);
          if (g == 0) before = mul(before, factor[q]);
          store(sum, fma(to_float(acc[q][v]), scale, before));
        }
      }
    }
  }

  template <int vectors>
  GLIA_INLINE_MEMBER void add_run(const Run& run, std::int32_t n, std::int32_t c, I (&acc)[Q][vectors]) {
    const std::int64_t stride = 2 * std::int64_t{task_.kv.value_cols};
    const Stored* values = reinterpret_cast<const Stored*>(run.values) + run.slot / 2 * stride + 2 * c;
    const std::int16_t* weights = weights_ + run.offset;
    std::int64_t apart = kAttentionBlock;
    std::int32_t pairs = (run.count + 1) / 2;
    // Values lie in pairs of slots. Where a run does not begin and end with one, its weights are shifted.
    alignas(4) std::int16_t shifted[Q][kWeightGroup + 2];
    const std::int32_t end = run.offset + run.count;
    const bool zero_follows = end == n && end < kAttentionBlock;
    if (run.slot % 2 != 0 || (run.count % 2 != 0 && !zero_follows)) {
      const std::int32_t before = run.slot % 2;
      pairs = (before + run.count + 1) / 2;
      for (int q = 0; q < Q; q++) {
        shifted[q][0] = 0;
        shifted[q][2 * pairs - 1] = 0;
        for (std::int32_t i = 0; i < run.count; i++) shifted[q][before + i] = weights[q * kAttentionBlock + i];
      }
      weights = shifted[0];
      apart = kWeightGroup + 2;
    }
    for (std::int32_t i = 0; i < pairs; i++, values += stride, weights += 2) {
      Words value[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) value[v] = load_words(values + 32 * v);
#pragma GCC unroll 8
      for (int q = 0; q < Q; q++) {
        const Words weight = set1_pair(weights + q * apart);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) acc[q][v] = add_pairs(acc[q][v], value[v], weight);
      }
    }
  }

  const AttentionTask& task_;
  std::int32_t pairs_;     ///< of dimensions
  float* scores_;          ///< [Q][kScoreStride]
  float* value_scales_;    ///< [kScoreStride]
  std::int16_t* queries_;  ///< [pairs][kMaxQueries][2]
  std::int16_t* weights_;  ///< [Q][kAttentionBlock]
  float query_scale_[Q];   ///< what a query's integers are worth, times the task's scale
  float factor_[Q];        ///< of what was summed before the block
  float group_scale_[Q][kWeightGroups];
};

template <class Stored>
GLIA_INLINE void dispatch(const AttentionTask& task) {
  for_tokens<kQueries>(task.queries, [&](auto count) {
    constexpr int kCount = decltype(count)::kValue;
    attend_tile<IntKv<Stored, kCount>, kCount>(task);
  });
}

}  // namespace

void attention_int16(const AttentionTask& task) { dispatch<std::int16_t>(task); }
void attention_int8(const AttentionTask& task) { dispatch<std::int8_t>(task); }

}  // namespace glia::kernels::GLIA_ISA
