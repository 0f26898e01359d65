// Keys and values in pages, laid out for the attention kernels (KvView): per page and layer, for each kv head the keys,
// the values and, of integers, their scales. Page for page all layers lie together, so that memory is touched as pages
// are used.
#pragma once

#include "kernels/device.h"
#include "kernels/kernel_table.h"
#include "kernels/page_buffer.h"

namespace glia::kernels {

KvLayout kv_layout(KvType type, std::int32_t head_dim, std::int32_t page_tokens);

class CpuKvCache final : public KvCache {
 public:
  CpuKvCache(const KvShape& shape, KvType type);

  const KvShape& shape() const override { return shape_; }
  std::size_t bytes() const override { return data_.bytes(); }

  KvType type() const { return type_; }
  KvView view(std::int32_t layer, std::int32_t kv_head) const;
  /// Stores one position's key and value, [kv_heads * head_dim] each, at `slot` of `page`.
  void write(const KernelTable& kernels, std::int32_t layer, std::int32_t page, std::int32_t slot, const float* key,
             const float* value);

 private:
  template <class Stored>
  void write_floats(const KernelTable& kernels, std::uint8_t* head, std::int32_t slot, const float* key,
                    const float* value) const;
  template <class Stored>
  void write_integers(const KernelTable& kernels, std::uint8_t* head, std::int32_t slot, const float* key,
                      const float* value) const;

  KvShape shape_;
  KvType type_;
  KvLayout layout_;
  std::int64_t layer_bytes_;  ///< all kv heads of one layer in one page
  std::int64_t page_bytes_;   ///< all layers of one page
  PageBuffer data_;
};

}  // namespace glia::kernels
