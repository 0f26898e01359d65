// Reading packed weights (packed_format.h) and storing outputs, on the SIMD vocabulary included before this file.
#pragma once

#include "kernels/kernel_table.h"
#include "kernels/packed_format.h"

namespace glia::kernels::GLIA_ISA {

/// Columns 4g .. 4g + 3 of a block as they are stored, all 16 rows.
template <class Type, int g>
GLIA_INLINE Bytes stored_bytes(const std::uint8_t* block) {
  if constexpr (Type::kBits == 8) {
    return load_bytes(block + 64 * g);
  } else if constexpr (Type::kBits <= 3) {
    const Bytes pairs = bit_pairs<g / 2>(load_bytes(block + 64 * (g % 2)));
    if constexpr (Type::kBits == 3) return with_third_bits(pairs, block + 128 + 8 * g);
    return pairs;
  } else {
    const Bytes both = load_bytes(block + 64 * (g % 4));
    const Bytes nibbles = g < 4 ? low_nibbles(both) : high_nibbles(both);
    if constexpr (Type::kBits == 5) return with_fifth_bits(nibbles, block + 256 + 8 * g);
    return nibbles;
  }
}

/// Their unsigned quants.
template <class Type, int g>
GLIA_INLINE Bytes group_bytes(const std::uint8_t* block) {
  const Bytes stored = stored_bytes<Type, g>(block);
  if constexpr (Type::kCoded) return lookup(stored, Type::kCodes);
  return stored;
}

struct Scale {
  F d, m;  ///< m: the minimum to add, or the zero point to subtract first; zero where the type has neither
};

/// Of block b of the group whose scales these are; `half`: which sub-block of 16, for types that have them.
template <class Type>
GLIA_INLINE Scale load_scale(const std::uint8_t* scales, int scale_shift, std::int64_t b, int half) {
  if constexpr (Type::kGroupScales) {
    scales += (b >> scale_shift) * Type::kSubScaleBytes;
    const F d = load(reinterpret_cast<const float*>(scales));
    if constexpr (Type::kZeros) return {d, load_unsigned_bytes(scales + 64)};
    return {d, zero()};
  } else if constexpr (!Type::kSuper) {
    const auto* d = reinterpret_cast<const std::uint16_t*>(scales + b * Type::kSubScaleBytes);
    if constexpr (Type::kMin) return {load(d), load(d + 16)};
    if constexpr (Type::kBf16Scales) return {load_bf16(d), zero()};
    return {load(d), zero()};
  } else {
    constexpr int kBlocks = kSuperCols / kBlockCols;
    const std::uint8_t* super = scales + b / kBlocks * Type::kSuperBytes;
    const auto* d = reinterpret_cast<const std::uint16_t*>(super);
    const std::int64_t part = (b % kBlocks) * (kBlockCols / Type::kSubBlock) + half;
    const auto* sc = reinterpret_cast<const std::int8_t*>(super + Type::kSuperHeadBytes + part * Type::kSubScaleBytes);
    const F scale = mul(load(d), to_float(load_signed_bytes(sc)));
    if constexpr (Type::kMin) {
      return {scale, sub(zero(), mul(load(d + 16), to_float(load_signed_bytes(sc + 16))))};
    }
    return {scale, zero()};
  }
}

/// Asks for block b of the group that lies `ahead` bytes on, quants and scales.
template <class Type>
GLIA_INLINE void fetch_block(const std::uint8_t* quants, const std::uint8_t* scales, int scale_shift,
                             std::int64_t ahead, std::int64_t b) {
#pragma GCC unroll 8
  for (int i = 0; i < Type::kBlockBytes; i += 64) __builtin_prefetch(quants + ahead + i);
  if constexpr (Type::kGroupScales) {
    __builtin_prefetch(scales + ahead + (b >> scale_shift) * Type::kSubScaleBytes);
  } else {
    constexpr int kScaleBytes = Type::kSuper ? Type::kSuperBytes / (kSuperCols / kBlockCols) : Type::kSubScaleBytes;
    __builtin_prefetch(scales + ahead + b * kScaleBytes);
  }
}

/// One row's outputs of a group; `bias` at its first output, or null.
GLIA_INLINE void store_output(float* out, F value, const float* bias, bool accumulate, int lanes) {
  if (lanes == kGroupRows) {
    if (bias != nullptr) value = add(value, load(bias));
    if (accumulate) value = add(load(out), value);
    store(out, value);
  } else {
    if (bias != nullptr) value = add(value, load_first(bias, lanes));
    if (accumulate) value = add(load_first(out, lanes), value);
    store_first(out, value, lanes);
  }
}

template <int n>
struct Count {
  static constexpr int kValue = n;
};

/// body(Count<g>) for g in [first, end), unrolled.
template <int first, int end, class Body>
GLIA_INLINE void for_groups(Body body) {
  if constexpr (first < end) {
    body(Count<first>{});
    for_groups<first + 1, end>(body);
  }
}

/// body(Count<n>) for a run-time n in [1, most].
template <int most, class Body>
GLIA_INLINE void for_tokens(int n, Body body) {
  if constexpr (most > 1) {
    if (n < most) return for_tokens<most - 1>(n, body);
  }
  body(Count<most>{});
}

}  // namespace glia::kernels::GLIA_ISA
