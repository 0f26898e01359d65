// Quantised weights x activations of 16 bits. Per block of 32 columns (or sub-block of 16) an exact integer dot product
// per row, scaled and added to a float32 sum; those of 256 columns are scaled by the activations' scale and added to
// the output. All in ascending order: the float operations behind one output are the same whatever the tile, so its
// bits are too. Eight bits an activation (as llama.cpp rounds) would change the best token of a small model at every
// 27th position (bench/SPEED.md).
#include GLIA_SIMD_HEADER

#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kQuadBytes = 4 * kQuantBytes;            ///< 4 columns of a row
constexpr int kQuadStride = kPanelRows * kQuadBytes;   ///< to the next 4 columns
constexpr int kSuperBlocks = kSuperCols / kBlockCols;  ///< blocks that share an activation scale

/// Where a tile reads: G groups of weights and T rows of a panel.
struct Place {
  const std::uint8_t* quants;  ///< of the first group
  const std::uint8_t* scales;
  std::int64_t group_bytes;
  int scale_shift;
  const std::int8_t* x;  ///< of the first row
  const BlockScales* x_scales;
  std::int64_t lane;   ///< of the first row
  std::int64_t ahead;  ///< bytes to the groups to fetch meanwhile; 0: none
};

/// What the products of unsigned weights have too much, where the set does not take them as signed: the start of a sum.
template <class Type>
GLIA_INLINE I correction(std::int32_t negative_sum) {
  if constexpr (Type::kZero == Dot<Type::kDotBits>::kSubtracted) {
    return set1_int(0);
  } else {
    return shift_left<Type::kZeroShift>(set1_int(negative_sum));
  }
}

/// -sum(q) of column groups [first, first + groups) of a block.
template <int first, int groups>
GLIA_INLINE std::int32_t negative_sum(const BlockScales& xs, std::int64_t lane) {
  if constexpr (groups == 8) return xs.negative_sum[lane];
  return first == 0 ? xs.negative_sum_head[lane] : xs.negative_sum[lane] - xs.negative_sum_head[lane];
}

/// Adds column groups [first, first + groups) of block b, which share a scale.
template <class Type, int first, int groups, int T, int G>
GLIA_INLINE void add_sub_block(F (&sums)[T][G], const Place& at, std::int64_t b) {
  const std::uint8_t* quants = at.quants + b * Type::kBlockBytes;
  const std::int8_t* x = at.x + b * kBlockCols * kPanelRows * kQuantBytes;
  const BlockScales& xs = at.x_scales[b];
  Dot<Type::kDotBits> dot[T][G];
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    const I start = correction<Type>(negative_sum<first, groups>(xs, at.lane + t));
    for (int g = 0; g < G; g++) dot[t][g].start(start);
  }
  for_groups<first, first + groups>([&](auto group) __attribute__((always_inline)) {
    constexpr int c = decltype(group)::kValue;
    Bytes bytes[G];
    for (int g = 0; g < G; g++) bytes[g] = group_bytes<Type, c>(quants + g * at.group_bytes);
    for_groups<0, 2>([&](auto which) __attribute__((always_inline)) {
      constexpr int half = decltype(which)::kValue;
      using D = Dot<Type::kDotBits>;
      typename D::Weights w[G];
      for (int g = 0; g < G; g++) w[g] = D::template weights<half>(bytes[g]);
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) {
        const auto quad = load_half(x + c * kQuadStride + t * kQuadBytes + 4 * half);
        for (int g = 0; g < G; g++) dot[t][g].template add<half>(w[g], quad);
      }
    });
  });
  for (int g = 0; g < G; g++) {
    const Scale s = load_scale<Type>(at.scales + g * at.group_bytes, at.scale_shift, b, first / 4);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      sums[t][g] = fma(to_float(dot[t][g].total()), s.d, sums[t][g]);
      if constexpr (Type::kMin && groups == 8) {
        sums[t][g] = fma(s.m, set1(xs.sum[at.lane + t]), sums[t][g]);
      } else if constexpr (Type::kMin) {
        const F sum = set1(static_cast<float>(-negative_sum<first, groups>(xs, at.lane + t)));
        sums[t][g] = fma(s.m, sum, sums[t][g]);
      } else if constexpr (Type::kZeros) {
        sums[t][g] = negated_fma(mul(s.d, s.m), set1(xs.sum[at.lane + t]), sums[t][g]);
      }
    }
  }
}

/// Blocks [first, end), which share an activation scale, without it.
template <class Type, int T, int G>
GLIA_INLINE void add_blocks(F (&sums)[T][G], const Place& at, std::int64_t first, std::int64_t end) {
  for (int t = 0; t < T; t++) {
    for (int g = 0; g < G; g++) sums[t][g] = zero();
  }
  for (std::int64_t b = first; b < end; b++) {
    if (at.ahead != 0) {
      for (int g = 0; g < G; g++) {
        const std::int64_t group = g * at.group_bytes;
        fetch_block<Type>(at.quants + group + b * Type::kBlockBytes, at.scales + group, at.scale_shift, at.ahead, b);
      }
    }
    if constexpr (Type::kSubBlock == 32) {
      add_sub_block<Type, 0, 8, T, G>(sums, at, b);
    } else {
      add_sub_block<Type, 0, 4, T, G>(sums, at, b);
      add_sub_block<Type, 4, 4, T, G>(sums, at, b);
    }
  }
}

/// T rows of G groups, the first of them at `group`.
template <class Type, int T, int G>
GLIA_INLINE void tile(const MatmulTask& task, std::int64_t group, const Place& at, float* out) {
  F totals[T][G];
  for (int t = 0; t < T; t++) {
    for (int g = 0; g < G; g++) totals[t][g] = zero();
  }
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t first = 0; first < blocks; first += kSuperBlocks) {
    F sums[T][G];
    add_blocks<Type, T, G>(sums, at, first, first + kSuperBlocks < blocks ? first + kSuperBlocks : blocks);
    for (int t = 0; t < T; t++) {
      const F scale = set1(at.x_scales[first].scale[at.lane + t]);
      for (int g = 0; g < G; g++) totals[t][g] = fma(sums[t][g], scale, totals[t][g]);
    }
  }
  for (int g = 0; g < G && group + g < task.groups; g++) {
    const int lanes = group + g + 1 == task.groups ? task.lanes : kGroupRows;
    const float* bias = task.bias != nullptr ? task.bias + (group + g) * kGroupRows : nullptr;
    for (int t = 0; t < T; t++) {
      store_output(out + t * task.out_stride + g * kGroupRows, totals[t][g], bias, task.accumulate, lanes);
    }
  }
}

/// All rows of G groups, the first of them at `group`. Groups that the task lacks are computed as the first again and
/// not stored: rather that than the code of every narrower tile.
template <class Type, int G>
GLIA_INLINE void multiply(const MatmulTask& task, std::int64_t group) {
  const bool more = group + G < task.groups || task.more_groups;
  Place at;
  at.quants = task.quants + group * task.group_bytes;
  at.scales = task.scales + group * task.group_bytes;
  at.group_bytes = group + G <= task.groups ? task.group_bytes : 0;
  at.scale_shift = task.scale_shift;
  std::int64_t row = task.first_row;
  const std::int64_t end = row + task.rows;
  while (row < end) {
    const std::int64_t panel = row / kPanelRows;
    at.lane = row % kPanelRows;
    at.x = task.x_quants + panel * task.cols * kPanelRows * kQuantBytes + at.lane * kQuadBytes;
    at.x_scales = task.x_scales + panel * (task.cols / kBlockCols);
    at.ahead = row == task.first_row && more ? G * task.group_bytes : 0;
    float* out = task.out + row * task.out_stride + group * kGroupRows;
    std::int64_t n = end - row < kPanelRows - at.lane ? end - row : kPanelRows - at.lane;
    if (n >= kTokens) n = kTokens;
    for_tokens<kTokens>(static_cast<int>(n),
                        [&](auto count) { tile<Type, decltype(count)::kValue, G>(task, group, at, out); });
    row += n;
  }
}

template <class Type>
void matmul(const MatmulTask& task) {
  static_assert(kGroups <= 2);
  for (std::int64_t group = 0; group < task.groups; group += kGroups) multiply<Type, kGroups>(task, group);
}

}  // namespace

using tensor::DType;
extern const MatmulKernel kMatmulFast[tensor::kDTypes];
/// In the order of tensor::DType.
const MatmulKernel kMatmulFast[tensor::kDTypes] = {nullptr,
                                                   nullptr,
                                                   nullptr,
                                                   nullptr,
                                                   nullptr,
                                                   matmul<Packed<DType::q4_0>>,
                                                   matmul<Packed<DType::q4_1>>,
                                                   matmul<Packed<DType::q5_0>>,
                                                   matmul<Packed<DType::q5_1>>,
                                                   matmul<Packed<DType::q8_0>>,
                                                   matmul<Packed<DType::q4_k>>,
                                                   matmul<Packed<DType::q5_k>>,
                                                   matmul<Packed<DType::q6_k>>,
                                                   matmul<Packed<DType::q2_k>>,
                                                   matmul<Packed<DType::q3_k>>,
                                                   matmul<Packed<DType::iq4_nl>>,
                                                   matmul<Packed<DType::iq4_xs>>,
                                                   matmul<Packed<DType::mxfp4>>,
                                                   nullptr,
                                                   nullptr,
                                                   nullptr,
                                                   matmul<PackedInt4>,
                                                   matmul<PackedInt4>,
                                                   nullptr,
                                                   nullptr};

}  // namespace glia::kernels::GLIA_ISA
