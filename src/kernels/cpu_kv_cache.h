// Keys and values in pages, laid out for the attention kernels (KvView): per page and layer, for each kv head the keys
// [head_dim][slots], then the values [page_tokens][value_cols]; float16 in fast mode (11 bits of significand against
// bfloat16's 8: the rounding of a key stays below 2^-11 of it, and keys and values lie far inside +-65504, where they
// saturate), float32 in exact mode.
#pragma once

#include "kernels/device.h"
#include "kernels/kernel_table.h"
#include "kernels/page_buffer.h"

namespace glia::kernels {

class CpuKvCache final : public KvCache {
 public:
  CpuKvCache(const KvShape& shape, bool half);

  const KvShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return data_.bytes(); }

  bool half() const { return half_; }
  KvView view(std::int32_t layer, std::int32_t kv_head) const;
  /// Stores one position's key and value, [kv_heads * head_dim] each, at `slot` of `page`.
  void write(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot, const float* key,
             const float* value);

 private:
  template <class Element>
  void write_as(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot, const float* key,
                const float* value);

  KvShape shape_;
  bool half_;
  std::int64_t slots_;
  std::int64_t value_cols_;
  std::int64_t key_bytes_;    ///< of one kv head in one page
  std::int64_t head_bytes_;   ///< keys and values of one kv head in one page
  std::int64_t layer_bytes_;  ///< all kv heads of one layer in one page
  std::int64_t page_bytes_;   ///< all layers of one page: memory is touched as pages are used
  PageBuffer data_;
};

}  // namespace glia::kernels
