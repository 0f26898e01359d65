// How weights and activations lie in memory for the matmul kernels. Constants and plain structs only: this header is
// included by code compiled for every instruction set, so it must not define a function.
//
// Weights. 16 rows make a group: one lane per output row. The columns go in blocks of 32; within a block, 4 columns of
// all 16 rows lie together (64 bytes, row-major: [row][4]), so that one byte dot product with 4 broadcast activations
// adds to every row's lane. A group is [blocks] quants, then its scales:
//   8-bit quants   8 x 64 bytes per block
//   4-bit quants   4 x 64 bytes per block; the low nibbles of chunk g are columns 4g.., the high nibbles 4(g + 4)..
//   5-bit quants   as 4-bit, then 8 x 8 bytes with the fifth bit of every byte
//   plain scales   float16 d[16], and float16 m[16] where the type has a minimum, per block of 32
//   super scales   per 256 columns: float16 d[16], float16 dmin[16] where it has a minimum; then per sub-block int8
//   sc[16],
//                  and uint8 mn[16] where it has a minimum
// A weight is d (q - kZero), or d q + m. Float types lie as [cols][16]. Rows beyond the matrix are zero.
//
// Activations lie in panels of 8 rows. Fast: integers q in [-32512, 32512] with BlockScales per 32 columns, split into
// two planes of bytes, q = 255 high + low with both in [-127, 127] (no byte is -128, so no signed-byte trick
// overflows): int8 [cols / 4][plane][8][4]. Exact: float [cols][8].
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace glia::kernels {

inline constexpr int kGroupRows = 16;
inline constexpr int kPanelRows = 8;
inline constexpr int kBlockCols = 32;
inline constexpr int kSuperCols = 256;
inline constexpr int kPlanes = 2;       ///< bytes of an activation
inline constexpr int kPlaneStep = 255;  ///< worth of the high one
inline constexpr int kMostQuant = 127 * kPlaneStep + 127;

/// Of one activation panel and 32 columns: x = scale * q.
struct BlockScales {
  float scale[kPanelRows];
  float scaled_sum[kPanelRows];                ///< scale * sum(q)
  std::int32_t negative_sum[kPanelRows];       ///< -sum(q)
  std::int32_t negative_sum_head[kPanelRows];  ///< -sum(q) of the first 16 columns
};

template <tensor::DType>
struct Packed;

template <int bits, int dot_bits, int zero, int zero_shift, bool has_min, bool super, int sub_block>
struct PackedQuants {
  static constexpr int kBits = bits;         ///< of a stored quant: 4, 5, 8
  static constexpr int kDotBits = dot_bits;  ///< that a quant's value needs
  static constexpr int kZero = zero;         ///< a power of two, 1 << kZeroShift; 0 where there is a minimum
  static constexpr int kZeroShift = zero_shift;
  static constexpr bool kMin = has_min;
  static constexpr bool kSuper = super;
  static constexpr int kSubBlock = sub_block;  ///< columns that share a scale
  static constexpr int kBlockBytes = bits == 4 ? 256 : bits == 5 ? 320 : 512;
  static constexpr int kSubScaleBytes = (super ? 16 : 32) * (has_min ? 2 : 1);
  static constexpr int kSuperHeadBytes = super ? (has_min ? 64 : 32) : 0;
  static constexpr int kSuperBytes = kSuperHeadBytes + kSuperCols / sub_block * kSubScaleBytes;
};

template <>
struct Packed<tensor::DType::q4_0> : PackedQuants<4, 4, 8, 3, false, false, 32> {};
template <>
struct Packed<tensor::DType::q4_1> : PackedQuants<4, 4, 0, 0, true, false, 32> {};
template <>
struct Packed<tensor::DType::q5_0> : PackedQuants<5, 5, 16, 4, false, false, 32> {};
template <>
struct Packed<tensor::DType::q5_1> : PackedQuants<5, 5, 0, 0, true, false, 32> {};
template <>
struct Packed<tensor::DType::q8_0> : PackedQuants<8, 8, 128, 7, false, false, 32> {};
template <>
struct Packed<tensor::DType::q4_k> : PackedQuants<4, 4, 0, 0, true, true, 32> {};
template <>
struct Packed<tensor::DType::q5_k> : PackedQuants<5, 5, 0, 0, true, true, 32> {};
template <>
struct Packed<tensor::DType::q6_k> : PackedQuants<8, 6, 32, 5, false, true, 16> {};

}  // namespace glia::kernels
