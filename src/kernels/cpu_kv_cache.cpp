#include "kernels/cpu_kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"

namespace glia::kernels {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int32_t kChunk = 64;  ///< elements converted at a time; even

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

std::size_t product(std::initializer_list<std::int64_t> factors) {
  std::uint64_t n = 1;
  for (const std::int64_t f : factors) {
    if (!checked_mul(n, static_cast<std::uint64_t>(f), n))
      throw Error(ErrorCode::out_of_capacity, "KV cache too large");
  }
  return n;
}

std::int64_t element_bytes(KvType type) {
  switch (type) {
    case KvType::f32:
      return 4;
    case KvType::int8:
      return 1;
    default:
      return 2;
  }
}

bool is_integer(KvType type) { return type == KvType::int16 || type == KvType::int8; }

void convert(const KernelTable&, float* out, const float* x, std::int64_t n, KvType) {
  std::memcpy(out, x, static_cast<std::size_t>(n) * sizeof(float));
}
void convert(const KernelTable& kernels, std::uint16_t* out, const float* x, std::int64_t n, KvType type) {
  (type == KvType::bf16 ? kernels.to_bf16 : kernels.to_f16)(out, x, n);
}

void quantise(const KernelTable& kernels, std::int16_t* out, const float* x, std::int64_t n, float factor) {
  kernels.to_int16(out, x, n, factor);
}
void quantise(const KernelTable& kernels, std::int8_t* out, const float* x, std::int64_t n, float factor) {
  kernels.to_int8(out, x, n, factor);
}

/// Where the largest of x, or its length, becomes `most`. What is next to nothing becomes 0.
struct Quantiser {
  Quantiser(float size, float most) : factor(size > 1e-30F ? most / size : 0.0F), scale(size / most) {}
  float factor;
  float scale;
};

}  // namespace

KvLayout kv_layout(KvType type, std::int32_t head_dim, std::int32_t page_tokens) {
  const std::int64_t element = element_bytes(type);
  const std::int64_t together = is_integer(type) ? 2 : 1;
  KvLayout out;
  out.slots = round_up(page_tokens, kLanes);
  out.value_cols = round_up(head_dim, kLanes);
  out.key_bytes = round_up(round_up(head_dim, together) * out.slots * element, 64);
  out.scale_offset = out.key_bytes + round_up(round_up(page_tokens, together) * out.value_cols * element, 64);
  const std::int64_t scales = is_integer(type) ? 2 * out.slots * std::int64_t{sizeof(float)} : 0;
  out.head_bytes = out.scale_offset + scales;
  return out;
}

CpuKvCache::CpuKvCache(const KvShape& shape, KvType type)
    : shape_(shape), type_(type), layout_(kv_layout(type, shape.head_dim, shape.page_tokens)) {
  assert(shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.page_tokens > 0 && shape.pages > 0);
  layer_bytes_ = layout_.head_bytes * shape.kv_heads;
  page_bytes_ = static_cast<std::int64_t>(product({shape.layers, layer_bytes_}));
  // Vectors that start inside a page's last row, or its last scales, reach beyond it; the slack keeps that inside.
  data_ = PageBuffer(product({shape.pages, page_bytes_}) + 256);
}

KvView CpuKvCache::view(std::int32_t layer, std::int32_t kv_head) const {
  const std::uint8_t* keys = data_.data() + layer * layer_bytes_ + kv_head * layout_.head_bytes;
  return {keys,
          keys + layout_.key_bytes,
          page_bytes_,
          layout_.scale_offset,
          shape_.page_tokens,
          static_cast<std::int32_t>(layout_.slots),
          shape_.head_dim,
          static_cast<std::int32_t>(layout_.value_cols)};
}

void CpuKvCache::write(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot,
                       const float* key, const float* value) {
  assert(page >= 0 && page < shape_.pages);
  std::uint8_t* head = data_.data() + page * page_bytes_ + layer * layer_bytes_;
  for (std::int32_t h = 0; h < shape_.kv_heads; h++) {
    switch (type_) {
      case KvType::f32:
        write_floats<float>(kernels, head, slot, key, value);
        break;
      case KvType::int16:
        write_integers<std::int16_t>(kernels, head, slot, key, value);
        break;
      case KvType::int8:
        write_integers<std::int8_t>(kernels, head, slot, key, value);
        break;
      default:
        write_floats<std::uint16_t>(kernels, head, slot, key, value);
    }
    head += layout_.head_bytes;
    key += shape_.head_dim;
    value += shape_.head_dim;
  }
}

template <class Stored>
void CpuKvCache::write_floats(const KernelTable& kernels, std::uint8_t* head, std::int32_t slot, const float* key,
                              const float* value) const {
  auto* keys = reinterpret_cast<Stored*>(head) + slot;
  auto* values = reinterpret_cast<Stored*>(head + layout_.key_bytes) + slot * layout_.value_cols;
  for (std::int32_t first = 0; first < shape_.head_dim; first += kChunk) {
    const std::int32_t n = std::min(kChunk, shape_.head_dim - first);
    Stored column[kChunk];
    convert(kernels, column, key + first, n, type_);
    convert(kernels, values + first, value + first, n, type_);
    for (std::int32_t d = 0; d < n; d++) keys[(first + d) * layout_.slots] = column[d];
  }
}

template <class Stored>
void CpuKvCache::write_integers(const KernelTable& kernels, std::uint8_t* head, std::int32_t slot, const float* key,
                                const float* value) const {
  constexpr bool kWide = sizeof(Stored) == 2;
  const std::int32_t dim = shape_.head_dim;
  auto* keys = reinterpret_cast<Stored*>(head) + 2 * slot;
  auto* values = reinterpret_cast<Stored*>(head + layout_.key_bytes) + slot / 2 * 2 * layout_.value_cols + slot % 2;
  auto* scales = reinterpret_cast<float*>(head + layout_.scale_offset) + slot;
  const Quantiser k(kWide ? kernels.length(key, dim) : kernels.largest(key, dim), kWide ? kMostLength : kMostKey8);
  const Quantiser v(kernels.largest(value, dim), kWide ? kMostValue16 : kMostValue8);
  scales[0] = k.scale;
  scales[layout_.slots] = v.scale;
  for (std::int32_t first = 0; first < dim; first += kChunk) {
    const std::int32_t n = std::min(kChunk, dim - first);
    Stored column[kChunk];
    quantise(kernels, column, key + first, n, k.factor);
    if (n % 2 != 0) column[n] = 0;
    for (std::int32_t d = 0; d < n; d += 2) {
      std::memcpy(keys + (first + d) * layout_.slots, column + d, 2 * sizeof(Stored));
    }
    quantise(kernels, column, value + first, n, v.factor);
    for (std::int32_t d = 0; d < n; d++) values[2 * (first + d)] = column[d];
  }
}

}  // namespace glia::kernels
