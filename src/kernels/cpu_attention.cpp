// CpuDevice's KV writes and attention: cuts a batch into tiles of queries that share keys and values.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "kernels/cpu_device.h"

namespace glia::kernels {
namespace {

/// Parts that a call is cut into where its tiles alone would leave threads idle.
constexpr std::int64_t kPartsPerThread = 4;

float* row(const Tensor& t, std::int64_t r) { return t.data + r * t.stride; }

std::span<const std::int32_t> pages_of(const Rows& rows, std::int64_t r) {
  return rows.page_tables[static_cast<std::size_t>(rows.sequences[static_cast<std::size_t>(r)])];
}

/// First position that the row at position length - 1 sees.
std::int32_t first_seen(std::int32_t length, const AttentionOptions& options) {
  std::int32_t first = options.window > 0 ? std::max(0, length - options.window) : 0;
  if (options.chunk > 0) first = std::max(first, (length - 1) / options.chunk * options.chunk);
  return first;
}

float scale_at(std::int32_t position, const AttentionOptions& options) {
  if (options.temperature_floor == 0) return options.scale;
  const double steps = (position + 1) / options.temperature_floor;  // whole ones
  return options.scale * static_cast<float>(1 + static_cast<double>(options.temperature_scale) * std::log1p(steps));
}

}  // namespace

void CpuDevice::kv_write(KvCache& cache, std::int32_t layer, Tensor k, Tensor v, const Rows& rows) {
  auto& c = static_cast<CpuKvCache&>(cache);
  assert(k.cols == std::int64_t{c.shape().kv_heads} * c.shape().head_dim && v.cols == k.cols);
  assert(k.rows == static_cast<std::int64_t>(rows.positions.size()) && v.rows == k.rows);
  const std::int32_t page_tokens = c.shape().page_tokens;
  for_rows(k.rows, 4 * k.cols, [&](std::int64_t r, int) {
    const std::int32_t position = rows.positions[static_cast<std::size_t>(r)];
    const std::int32_t page = pages_of(rows, r)[static_cast<std::size_t>(position / page_tokens)];
    c.write(kernels_, layer, page, position % page_tokens, row(k, r), row(v, r));
  });
}

void CpuDevice::cut_attention(const Rows& rows, std::int32_t kv_heads, std::int32_t group, bool split) {
  tiles_.clear();
  const auto n = static_cast<std::int64_t>(rows.positions.size());
  // With few queries, smaller tiles: every thread should have some, and they are cheap when keys are in the cache.
  // Where positions are shared out instead, the heads of a group stay together and read the keys once.
  const std::int64_t fair = n * group * kv_heads / (std::int64_t{2} * pool_.size());
  const std::int64_t most = std::clamp<std::int64_t>(split ? group : fair, 1, kernels_.queries);
  for (std::int64_t first = 0; first < n;) {
    std::int64_t last = first + 1;
    const auto sequence = [&](std::int64_t r) { return rows.sequences[static_cast<std::size_t>(r)]; };
    while (last < n && sequence(last) == sequence(first)) last++;
    const auto queries = (last - first) * group;
    // Later rows see more positions: the long tiles go first, so that no thread starts one at the end.
    const std::int64_t tiles = (queries + most - 1) / most;
    for (std::int64_t t = tiles - 1; t >= 0; t--) {
      const auto count = static_cast<std::int32_t>(std::min(most, queries - t * most));
      for (std::int32_t head = 0; head < kv_heads; head++) {
        tiles_.push_back({first, static_cast<std::int32_t>(t * most), count, head});
      }
    }
    first = last;
  }
}

void CpuDevice::split_tiles(const Rows& rows, std::int32_t group, const AttentionOptions& options,
                            std::int64_t value_cols) {
  parts_.clear();
  const std::int64_t wanted =
      std::max<std::int64_t>(1, kPartsPerThread * pool_.size() / static_cast<std::int64_t>(tiles_.size()));
  std::int64_t floats = 0;
  for (AttentionTile& tile : tiles_) {
    // Positions rise from query to query, and so does where a window starts.
    const auto position = [&](std::int32_t query) {
      return rows.positions[static_cast<std::size_t>(tile.first_row + (tile.first_query + query) / group)];
    };
    const std::int32_t begin = first_seen(position(0) + 1, options) / kAttentionChunk;
    const std::int32_t end = position(tile.queries - 1) / kAttentionChunk + 1;
    tile.begin = begin * kAttentionChunk;
    tile.end = end * kAttentionChunk;
    tile.partial = floats;
    const std::int64_t chunk_floats = tile.queries * (kPartialHead + value_cols);
    const auto share = static_cast<std::int32_t>(std::max<std::int64_t>(1, (end - begin) / wanted));
    for (std::int32_t c = begin; c < end; c += share) {
      AttentionTile part = tile;
      part.begin = c * kAttentionChunk;
      part.end = std::min(c + share, end) * kAttentionChunk;
      part.partial = tile.partial + (c - begin) * chunk_floats;
      parts_.push_back(part);
    }
    floats += (end - begin) * chunk_floats;
  }
  partials_.reserve(static_cast<std::size_t>(floats) * sizeof(float));
}

AttentionTask CpuDevice::task_of(const AttentionTile& tile, int worker, Tensor out, Tensor q, const CpuKvCache& cache,
                                 std::int32_t layer, const AttentionOptions& options, const Rows& rows) const {
  const std::int32_t dim = cache.shape().head_dim;
  const auto group = static_cast<std::int32_t>(q.cols / dim / cache.shape().kv_heads);
  AttentionTask task;
  task.kv = cache.view(layer, tile.kv_head);
  task.pages = pages_of(rows, tile.first_row).data();
  task.queries = tile.queries;
  task.softcap = options.softcap;
  task.has_sinks = options.sinks != nullptr;
  task.scratch = attention_scratch_[static_cast<std::size_t>(worker)].as<float>();
  for (std::int32_t i = 0; i < tile.queries; i++) {
    const std::int64_t r = tile.first_row + (tile.first_query + i) / group;
    const std::int64_t head = std::int64_t{tile.kv_head} * group + (tile.first_query + i) % group;
    task.q[i] = row(q, r) + head * dim;
    task.out[i] = row(out, r) + head * dim;
    task.length[i] = rows.positions[static_cast<std::size_t>(r)] + 1;
    task.first[i] = first_seen(task.length[i], options);
    task.scale[i] = scale_at(task.length[i] - 1, options);
    if (task.has_sinks) task.sink[i] = options.sinks[head];
  }
  if (tile.end > 0) {
    task.partial = partials_.as<float>() + tile.partial;
    task.begin = tile.begin;
    task.end = tile.end;
  }
  return task;
}

AttentionKernel CpuDevice::attention_kernel(KvType type) const {
  switch (type) {
    case KvType::f32:
      return kernels_.attention_f32;
    case KvType::f16:
      return kernels_.attention_f16;
    case KvType::bf16:
      return kernels_.attention_bf16;
    case KvType::int16:
      return kernels_.attention_int16;
    case KvType::int8:
      return kernels_.attention_int8;
  }
  return nullptr;
}

void CpuDevice::attention(Tensor out, Tensor q, const KvCache& cache, std::int32_t layer,
                          const AttentionOptions& options, const Rows& rows) {
  const auto& c = static_cast<const CpuKvCache&>(cache);
  const std::int32_t dim = c.shape().head_dim;
  const std::int32_t kv_heads = c.shape().kv_heads;
  assert(q.cols % (std::int64_t{dim} * kv_heads) == 0 && out.cols == q.cols && out.rows == q.rows);
  const auto group = static_cast<std::int32_t>(q.cols / dim / kv_heads);
  const std::int64_t value_cols = c.view(0, 0).value_cols;
  const auto floats = static_cast<std::size_t>(kScratchScores + kScratchPerColumn * value_cols);
  for (PageBuffer& scratch : attention_scratch_) scratch.reserve(floats * sizeof(float));
  const AttentionKernel kernel = attention_kernel(c.type());
  const auto task = [&](const AttentionTile& tile, int worker) {
    return task_of(tile, worker, out, q, c, layer, options, rows);
  };

  std::int64_t work = 0;
  std::int32_t longest = 0;
  for (const std::int32_t position : rows.positions) {
    const std::int32_t seen = position + 1 - first_seen(position + 1, options);
    work += seen * q.cols;
    longest = std::max(longest, seen);
  }
  const bool split =
      longest > kAttentionChunk && pool_.size() > 1 && q.rows * kv_heads < kPartsPerThread * pool_.size();
  cut_attention(rows, kv_heads, group, split);
  if (work <= kInlineAttention) {
    for (const AttentionTile& tile : tiles_) kernel(task(tile, 0));
    return;
  }
  if (!split) {
    pool_.for_each(static_cast<std::uint32_t>(tiles_.size()),
                   [&](std::uint32_t i, int worker) { kernel(task(tiles_[i], worker)); });
    return;
  }
  split_tiles(rows, group, options, value_cols);
  pool_.for_each(static_cast<std::uint32_t>(parts_.size()),
                 [&](std::uint32_t i, int worker) { kernel(task(parts_[i], worker)); });
  for (const AttentionTile& tile : tiles_) {
    const AttentionTask whole = task(tile, 0);
    kernels_.attention_merge(whole, whole.partial, (tile.end - tile.begin) / kAttentionChunk);
  }
}

}  // namespace glia::kernels
