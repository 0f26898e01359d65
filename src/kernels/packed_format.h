// How weights and activations lie in memory for the matmul kernels. Constants and plain structs only: this header is
// included by code compiled for every instruction set, so it must not define a function.
//
// Weights. 16 rows make a group: one lane per output row. The columns go in blocks of 32; within a block, 4 columns of
// all 16 rows lie together (64 bytes, row-major: [row][4]), so that one byte dot product with 4 broadcast activations
// adds to every row's lane. A group is [blocks] quants, then its scales:
//   8-bit quants   8 x 64 bytes per block
//   4-bit quants   4 x 64 bytes per block; the low nibbles of chunk g are columns 4g.., the high nibbles 4(g + 4)..
//   5-bit quants   as 4-bit, then 8 x 8 bytes with the fifth bit of every byte
//   2-bit quants   2 x 64 bytes per block; bits 2i, 2i + 1 of chunk g are columns 4 (g + 2 i)..
//   3-bit quants   as 2-bit, then 8 x 8 bytes with the third bit of every byte
//   plain scales   float16 d[16], and float16 m[16] where the type has a minimum, per block of 32; MXFP4's as bfloat16
//   group scales   float32 d[16], and uint8 zero[16] for integers, per 32 or 128 columns
//   super scales   per 256 columns: float16 d[16], float16 dmin[16] where it has a minimum; then per sub-block int8
//                  sc[16], and uint8 mn[16] where it has a minimum
// A weight is d (q - kZero), d q + m, d (q - zero), or d (codes[q] - kZero) where a quant is a code. FP8 lies as
// [cols][16] bytes with group scales, float types as [cols][16]. Rows beyond the matrix are zero.
// Words, what float weights are rounded to: int16 [cols / 2][16][2], then float32 d[16] per 128 columns (the last of a
// row may be fewer, in whole blocks); a weight is d q, |q| <= 2047.
//
// Activations lie in panels of 8 rows. Fast: integers q in [-32512, 32512], one scale per 256 columns, with BlockScales
// per 32 columns; int8 [cols / 4][8][8], where the 8 bytes of 4 columns of a row are what the instruction set
// multiplies (simd/README.md). 32512 = 127 * 256: a set that has only byte products splits q in two bytes that are
// never -128. Fast with Activations::int8: q in [-127, 127], a scale per 32 columns; int8 [cols / 4][8][4]. For words:
// q in [-8191, 8191], int16 [segments of 128 columns][8][128], and scales, float [segments][8]. Exact: float [cols][8].
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace glia::kernels {

inline constexpr int kGroupRows = 16;
inline constexpr int kPanelRows = 8;
inline constexpr int kBlockCols = 32;
inline constexpr int kSuperCols = 256;
inline constexpr int kQuantBytes = 2;  ///< of an activation of 16 bits
inline constexpr int kMostQuant = 32512;
inline constexpr int kMostQuant8 = 127;  ///< of an activation of 8 bits
inline constexpr int kWordCols = 128;    ///< that share a scale, of word weights and of their activations
inline constexpr int kMostWordWeight = 2047;
inline constexpr int kMostWord = 8191;  ///< of an activation for them
static_assert(std::int64_t{kWordCols} * kMostWordWeight * kMostWord < std::int64_t{1} << 31);  // a sum fits int32

/// Of one activation panel and 32 columns: x = scale * q.
struct BlockScales {
  float scale[kPanelRows];                     ///< of 16 bits: the same in all blocks of 256 columns from column 0
  float sum[kPanelRows];                       ///< of 16 bits: sum(q); of 8 bits: sum(x)
  std::int32_t negative_sum[kPanelRows];       ///< -sum(q)
  std::int32_t negative_sum_head[kPanelRows];  ///< -sum(q) of the first 16 columns
};

/// How one type is packed; the fields of Packed below, which see.
struct QuantLayout {
  int bits = 4;
  int dot_bits = 4;
  int zero_shift = -1;  ///< of kZero; -1: kZero is 0
  int sub_block = kBlockCols;
  bool min = false;
  bool super = false;
};

template <QuantLayout layout>
struct PackedQuants {
  static constexpr int kBits = layout.bits;         ///< of a stored quant: 2, 3, 4, 5, 8
  static constexpr int kDotBits = layout.dot_bits;  ///< that a quant's value, or its code's, needs at most
  static constexpr int kZeroShift = layout.zero_shift < 0 ? 0 : layout.zero_shift;
  static constexpr int kZero = layout.zero_shift < 0 ? 0 : 1 << layout.zero_shift;  ///< 0 where there is a minimum
  static constexpr bool kMin = layout.min;
  static constexpr bool kSuper = layout.super;
  static constexpr int kSubBlock = layout.sub_block;  ///< columns that share a scale
  static constexpr bool kZeros = false;               ///< a zero point per row and group
  static constexpr bool kGroupScales = false;         ///< float32, per 32 << task.scale_shift columns
  static constexpr bool kBf16Scales = false;
  static constexpr bool kCoded = false;                   ///< a quant stands for kCodes[quant]
  static constexpr const std::uint8_t* kCodes = nullptr;  ///< [16]
  static constexpr int kBlockBytes = 64 * layout.bits;    ///< quants of 32 columns
  static constexpr int kSubScaleBytes = (layout.super ? 16 : 32) * (layout.min ? 2 : 1);
  static constexpr int kSuperHeadBytes = layout.super ? (layout.min ? 64 : 32) : 0;
  static constexpr int kSuperBytes = kSuperHeadBytes + kSuperCols / layout.sub_block * kSubScaleBytes;
};

/// tensor::kIq4Values plus 128, tensor::kFp4Values plus 16.
inline constexpr std::uint8_t kIq4Codes[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
inline constexpr std::uint8_t kFp4Codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

template <tensor::DType>
struct Packed;

template <>
struct Packed<tensor::DType::q4_0> : PackedQuants<{.zero_shift = 3}> {};
template <>
struct Packed<tensor::DType::q4_1> : PackedQuants<{.min = true}> {};
template <>
struct Packed<tensor::DType::q5_0> : PackedQuants<{.bits = 5, .dot_bits = 5, .zero_shift = 4}> {};
template <>
struct Packed<tensor::DType::q5_1> : PackedQuants<{.bits = 5, .dot_bits = 5, .min = true}> {};
template <>
struct Packed<tensor::DType::q8_0> : PackedQuants<{.bits = 8, .dot_bits = 8, .zero_shift = 7}> {};
template <>
struct Packed<tensor::DType::q4_k> : PackedQuants<{.min = true, .super = true}> {};
template <>
struct Packed<tensor::DType::q5_k> : PackedQuants<{.bits = 5, .dot_bits = 5, .min = true, .super = true}> {};
template <>
struct Packed<tensor::DType::q6_k>
    : PackedQuants<{.bits = 8, .dot_bits = 6, .zero_shift = 5, .sub_block = 16, .super = true}> {};
template <>
struct Packed<tensor::DType::q2_k> : PackedQuants<{.bits = 2, .sub_block = 16, .min = true, .super = true}> {};
template <>
struct Packed<tensor::DType::q3_k> : PackedQuants<{.bits = 3, .zero_shift = 2, .sub_block = 16, .super = true}> {};
template <>
struct Packed<tensor::DType::iq4_nl> : PackedQuants<{.dot_bits = 8, .zero_shift = 7}> {
  static constexpr bool kCoded = true;
  static constexpr const std::uint8_t* kCodes = kIq4Codes;
};
template <>
struct Packed<tensor::DType::iq4_xs> : PackedQuants<{.dot_bits = 8, .zero_shift = 7, .super = true}> {
  static constexpr bool kCoded = true;
  static constexpr const std::uint8_t* kCodes = kIq4Codes;
};
template <>
struct Packed<tensor::DType::mxfp4> : PackedQuants<{.dot_bits = 5, .zero_shift = 4}> {
  static constexpr bool kCoded = true;
  static constexpr const std::uint8_t* kCodes = kFp4Codes;
  static constexpr bool kBf16Scales = true;
};

struct PackedInt4 : PackedQuants<{}> {
  static constexpr bool kZeros = true;
  static constexpr bool kGroupScales = true;
  static constexpr int kSubScaleBytes = 64 + 16;
};
template <>
struct Packed<tensor::DType::int4_g32> : PackedInt4 {};
template <>
struct Packed<tensor::DType::int4_g128> : PackedInt4 {};

struct PackedF8 {
  static constexpr int kBlockBytes = kBlockCols * kGroupRows;
  static constexpr int kSubScaleBytes = 64;
};

}  // namespace glia::kernels
