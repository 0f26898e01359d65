#include "kernels/cpu_kv_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"

namespace glia::kernels {
namespace {

constexpr std::int64_t kLanes = 16;

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

std::size_t product(std::initializer_list<std::int64_t> factors) {
  std::uint64_t n = 1;
  for (const std::int64_t f : factors) {
    if (!checked_mul(n, static_cast<std::uint64_t>(f), n))
      throw Error(ErrorCode::out_of_capacity, "KV cache too large");
  }
  return n;
}

}  // namespace

CpuKvCache::CpuKvCache(const KvShape& shape, bool half) : shape_(shape), half_(half) {
  assert(shape.layers > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.page_tokens > 0 && shape.pages > 0);
  const std::int64_t element = half ? 2 : 4;
  slots_ = round_up(shape.page_tokens, kLanes);
  value_cols_ = round_up(shape.head_dim, kLanes);
  key_bytes_ = round_up(shape.head_dim * slots_ * element, 64);
  head_bytes_ = key_bytes_ + round_up(shape.page_tokens * value_cols_ * element, 64);
  layer_bytes_ = head_bytes_ * shape.kv_heads;
  page_bytes_ = static_cast<std::int64_t>(product({shape.layers, layer_bytes_}));
  // A key vector that starts inside a page's last row may reach beyond it; the slack keeps that inside the buffer.
  data_ = PageBuffer(product({shape.pages, page_bytes_}) + 64);
}

KvView CpuKvCache::view(std::int32_t layer, std::int32_t kv_head) const {
  const std::uint8_t* keys = data_.data() + layer * layer_bytes_ + kv_head * head_bytes_;
  return {keys,
          keys + key_bytes_,
          page_bytes_,
          shape_.page_tokens,
          static_cast<std::int32_t>(slots_),
          shape_.head_dim,
          static_cast<std::int32_t>(value_cols_)};
}

void CpuKvCache::write(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot,
                       const float* key, const float* value) {
  if (half_) {
    write_as<std::uint16_t>(kernels, layer, page, slot, key, value);
  } else {
    write_as<float>(kernels, layer, page, slot, key, value);
  }
}

template <class Element>
void CpuKvCache::write_as(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot,
                          const float* key, const float* value) {
  assert(page >= 0 && page < shape_.pages);
  constexpr std::int32_t kChunk = 64;
  const std::int32_t dim = shape_.head_dim;
  for (std::int32_t head = 0; head < shape_.kv_heads; head++, key += dim, value += dim) {
    std::uint8_t* at = data_.data() + page * page_bytes_ + layer * layer_bytes_ + head * head_bytes_;
    auto* keys = reinterpret_cast<Element*>(at) + slot;
    auto* values = reinterpret_cast<Element*>(at + key_bytes_) + slot * value_cols_;
    for (std::int32_t first = 0; first < dim; first += kChunk) {
      const std::int32_t n = std::min(kChunk, dim - first);
      Element column[kChunk];
      if constexpr (sizeof(Element) == 2) {
        kernels.to_f16(column, key + first, n);
        kernels.to_f16(values + first, value + first, n);
      } else {
        std::memcpy(column, key + first, static_cast<std::size_t>(n) * sizeof(float));
        std::memcpy(values + first, value + first, static_cast<std::size_t>(n) * sizeof(float));
      }
      for (std::int32_t d = 0; d < n; d++) keys[(first + d) * slots_] = column[d];
    }
  }
}

}  // namespace glia::kernels
