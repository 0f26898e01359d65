// What every kind of keys and values shares in attention: how a tile of queries walks over positions, on the SIMD
// vocabulary included before this file.
//
// Positions go in blocks of kAttentionBlock, blocks in chunks of kAttentionChunk, both counted from position 0. Within
// a chunk the softmax is online: a running maximum, sum and weighted values per query. Chunks start anew and are merged
// in ascending order. Everything a query's result depends on is computed in an order fixed by absolute positions, so
// neither the tile, nor the batch, nor the page size, nor which chunks another thread computes changes its bits. A
// window starts a query in the middle of a block; what lies before it there weighs nothing.
// Source: Milakov and Gimelshein 2018 (online softmax); Dao et al. 2022 (blocking); Dao et al. 2023 (split over
// positions).
#pragma once

#include "kernels/isa/exp.h"
#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {

inline constexpr int kScoreStride = kAttentionBlock + 32;  // a tile's last vectors may reach past the block
inline constexpr float kNothing = -1e30F;                  // a maximum before any score

struct Running {
  float most = kNothing;  ///< largest score so far
  float total = 0;        ///< sum of exp(score - most)
};

/// Positions of a block that lie in one page.
struct Run {
  const std::uint8_t* keys;    ///< of the page
  const std::uint8_t* values;  ///< likewise
  std::int32_t slot;           ///< the first one's
  std::int32_t offset;         ///< the first one, counted from the block's start
  std::int32_t count;
};

/// Positions [first, first + n) of a block, cut at pages and at multiples of `most` positions. Returns how many runs.
GLIA_INLINE int find_runs(Run* runs, const AttentionTask& task, std::int32_t first, std::int32_t n, std::int32_t most) {
  int found = 0;
  for (std::int32_t done = 0; done < n; found++) {
    const std::int32_t position = first + done;
    const std::int32_t slot = position % task.kv.page_tokens;
    const std::int64_t page = task.pages[position / task.kv.page_tokens] * task.kv.page_bytes;
    std::int32_t count = task.kv.page_tokens - slot;
    if (count > most - done % most) count = most - done % most;
    if (count > n - done) count = n - done;
    runs[found] = {task.kv.keys + page, task.kv.values + page, slot, done, count};
    done += count;
  }
  return found;
}

/// The largest of the scores [begin, valid) and of the running maximum. Scores before `begin` in its vector become
/// finite.
GLIA_INLINE float most_of(float* scores, int begin, int valid, float running) {
  const int whole = begin / 16 * 16;
  for (int i = whole; i < begin; i++) scores[i] = running;
  F most = set1(running);
  for (int i = whole; i < valid; i += 16) {
    const F s = load(scores + i);
    most = max(most, valid - i >= 16 ? s : keep_first(s, valid - i, running));
  }
  return largest(most);
}

/// Weights of the vector at i: those of [begin, valid) stay, the others are 0.
GLIA_INLINE F keep_seen(F weight, int i, int begin, int valid) {
  if (i < begin) weight = mul(weight, keep_first(zero(), begin - i, 1.0F));
  if (valid - i < 16) weight = keep_first(weight, valid - i, 0.0F);
  return weight;
}

GLIA_INLINE float exp_of(float x) {
  float lanes[16];
  store(lanes, exp(set1(x)));
  return lanes[0];
}

/// total and sums become those of both; `most`, `total`, `values` [cols] are the later part's.
GLIA_INLINE void merge(Running& running, float* sums, float most, float total, const float* values, std::int32_t cols) {
  if (running.most == kNothing) {  // what the formula below would give, for nothing
    for (std::int32_t c = 0; c < cols; c += 16) store(sums + c, load(values + c));
    running = {most, total};
    return;
  }
  const float next = most > running.most ? most : running.most;
  const float before = exp_of(running.most - next);
  const float now = exp_of(most - next);
  for (std::int32_t c = 0; c < cols; c += 16) {
    store(sums + c, fma(load(values + c), set1(now), mul(load(sums + c), set1(before))));
  }
  running.total = running.total * before + total * now;
  running.most = next;
}

/// A sink is a position seen before all others, of no value.
GLIA_INLINE Running start(const AttentionTask& task, int q) {
  return task.has_sinks ? Running{task.sink[q], 1.0F} : Running{};
}

GLIA_INLINE void finish(float* out, const float* sums, float total, std::int32_t dim) {
  const F factor = set1(1.0F / total);
  for (std::int32_t c = 0; c < dim; c += 16) {
    const F value = mul(load(sums + c), factor);
    if (dim - c >= 16) {
      store(out + c, value);
    } else {
      store_first(out + c, value, dim - c);
    }
  }
}

/// One chunk. Kv::block(first, n, from, valid, running, sums) takes positions [first, first + n) into every query's
/// running state, of which query q sees [from[q], valid[q]), counted from `first`.
template <class Kv, int Q>
GLIA_INLINE void attend_chunk(Kv& kv, const AttentionTask& task, std::int32_t begin, std::int32_t end, Running* running,
                              float* sums) {
  for (int i = 0; i < Q * task.kv.value_cols; i += 16) store(sums + i, zero());
  for (int q = 0; q < Q; q++) running[q] = {};
  for (std::int32_t first = begin; first < end; first += kAttentionBlock) {
    const std::int32_t n = end - first < kAttentionBlock ? end - first : kAttentionBlock;
    std::int32_t from[Q];
    std::int32_t valid[Q];
    for (int q = 0; q < Q; q++) {
      from[q] = task.first[q] > first ? task.first[q] - first : 0;
      valid[q] = task.length[q] - first < n ? task.length[q] - first : n;
      if (valid[q] < from[q]) valid[q] = from[q] = 0;
    }
    kv.block(first, n, from, valid, running, sums);
  }
}

/// Kv: prepares the queries when it is made, in scratch of its own.
template <class Kv, int Q>
GLIA_INLINE void attend_tile(const AttentionTask& task) {
  const std::int32_t cols = task.kv.value_cols;
  float* sums = task.scratch;
  float* merged = sums + kMaxQueries * cols;
  Kv kv(task, merged + kMaxQueries * cols);
  std::int32_t end = task.length[0];
  std::int32_t begin = task.first[0];
  Running all[Q];
  for (int q = 0; q < Q; q++) {
    if (task.length[q] > end) end = task.length[q];
    if (task.first[q] < begin) begin = task.first[q];
    all[q] = start(task, q);
  }
  if (task.partial != nullptr) {  // these chunks alone, merged later
    if (begin < task.begin) begin = task.begin;
    if (end > task.end) end = task.end;
  }
  for (int i = 0; i < Q * cols; i += 16) store(merged + i, zero());
  float* partial = task.partial;
  begin = begin / kAttentionBlock * kAttentionBlock;
  while (begin < end) {
    const std::int32_t border = (begin / kAttentionChunk + 1) * kAttentionChunk;
    const std::int32_t last = border < end ? border : end;
    Running running[Q];
    attend_chunk<Kv, Q>(kv, task, begin, last, running, sums);
    for (int q = 0; q < Q; q++) {
      if (partial == nullptr) {
        merge(all[q], merged + q * cols, running[q].most, running[q].total, sums + q * cols, cols);
      } else {
        partial[0] = running[q].most;
        partial[1] = running[q].total;
        for (std::int32_t c = 0; c < cols; c += 16) store(partial + kPartialHead + c, load(sums + q * cols + c));
        partial += kPartialHead + cols;
      }
    }
    begin = last;
  }
  if (partial != nullptr) return;
  for (int q = 0; q < Q; q++) finish(task.out[q], merged + q * cols, all[q].total, task.kv.head_dim);
}

}  // namespace glia::kernels::GLIA_ISA
