// Quantised weights x activations in two int8 planes. Per block of 32 columns (or sub-block of 16) an exact integer dot
// product per row, scaled and added to a float32 sum, blocks in ascending order: the float operations behind one output
// are the same whatever the tile, so its bits are too. One plane alone (8 bits, as llama.cpp rounds) would change the
// best token of a small model at every 27th position; two cost up to half the speed where arithmetic is the limit and
// 7 % where memory is (bench/SPEED.md).
#include GLIA_SIMD_HEADER

#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

template <class Type>
GLIA_INLINE I corrected(I total, std::int32_t negative_sum) {
  if constexpr (Type::kZero == Dot<Type::kDotBits>::kSubtracted) {
    return total;
  } else {
    return add(total, shift_left<Type::kZeroShift>(set1_int(negative_sum)));
  }
}

GLIA_INLINE I join_planes(I high, I low) {
  static_assert(kPlaneStep == 255);
  return add(sub(shift_left<8>(high), high), low);
}

constexpr int plane_offset(int group, int plane, int row) { return ((group * kPlanes + plane) * kPanelRows + row) * 4; }

/// One plane of `groups` column groups of 4 starting at group `first` of a block, for T activation rows.
template <class Type, int first, int groups, int plane, int T>
GLIA_INLINE void dot_plane(Dot<Type::kDotBits> (&dot)[T], const std::uint8_t* quants, const std::int8_t* x) {
  for (int t = 0; t < T; t++) dot[t].start();
  for_groups<first, first + groups>([&](auto group) __attribute__((always_inline)) {
    constexpr int g = decltype(group)::kValue;
    const Bytes w = group_bytes<Type, g>(quants);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) dot[t].add(w, x + plane_offset(g, plane, t));
  });
}

/// Exact integer products of a block. Both planes in one walk over the weights where the registers hold the sums of
/// both; the integers are the same either way.
template <class Type, int first, int groups, int T>
GLIA_INLINE void dot_block(I (&total)[T], const std::uint8_t* quants, const std::int8_t* x) {
  if constexpr (T * kPlanes <= kDots) {
    Dot<Type::kDotBits> high[T];
    Dot<Type::kDotBits> low[T];
    for (int t = 0; t < T; t++) high[t].start(), low[t].start();
    for_groups<first, first + groups>([&](auto group) __attribute__((always_inline)) {
      constexpr int g = decltype(group)::kValue;
      const Bytes w = group_bytes<Type, g>(quants);
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) {
        high[t].add(w, x + plane_offset(g, 0, t));
        low[t].add(w, x + plane_offset(g, 1, t));
      }
    });
    for (int t = 0; t < T; t++) total[t] = join_planes(high[t].total(), low[t].total());
  } else {
    Dot<Type::kDotBits> dot[T];
    dot_plane<Type, first, groups, 0, T>(dot, quants, x);
    for (int t = 0; t < T; t++) total[t] = dot[t].total();
    dot_plane<Type, first, groups, 1, T>(dot, quants, x);
    for (int t = 0; t < T; t++) total[t] = join_planes(total[t], dot[t].total());
  }
}

/// Adds column groups [first, first + groups) of block b, which share a scale, for T activation rows.
template <class Type, int first, int groups, int T>
GLIA_INLINE void add_sub_block(F (&sums)[T], const MatmulTask& task, std::int64_t b, const std::uint8_t* quants,
                               const std::int8_t* x, const BlockScales* xs, std::int64_t lane) {
  I dot[T];
  dot_block<Type, first, groups, T>(dot, quants, x);
  const Scale s = load_scale<Type>(task, b, first / 4);
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    const std::int64_t i = lane + t;
    std::int32_t negative_sum = xs->negative_sum[i];
    if constexpr (groups == 4) {
      negative_sum = first == 0 ? xs->negative_sum_head[i] : negative_sum - xs->negative_sum_head[i];
    }
    const F total = to_float(corrected<Type>(dot[t], negative_sum));
    sums[t] = fma(total, mul(s.d, set1(xs->scale[i])), sums[t]);
    if constexpr (Type::kMin && groups == 8) {
      sums[t] = fma(s.m, set1(xs->scaled_sum[i]), sums[t]);
    } else if constexpr (Type::kMin) {
      sums[t] = fma(s.m, set1(xs->scale[i] * static_cast<float>(-negative_sum)), sums[t]);
    } else if constexpr (Type::kZeros) {
      sums[t] = negated_fma(mul(s.d, s.m), set1(xs->scaled_sum[i]), sums[t]);
    }
  }
}

template <class Type, int T>
GLIA_INLINE void tile(const MatmulTask& task, const std::int8_t* x, const BlockScales* xs, std::int64_t lane,
                      std::int64_t ahead, float* out) {
  F sums[T];
  for (int t = 0; t < T; t++) sums[t] = zero();
  const std::uint8_t* quants = task.quants;
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t b = 0; b < blocks; b++) {
    fetch_next<Type>(task, ahead, quants, b);
    if constexpr (Type::kSubBlock == 32) {
      add_sub_block<Type, 0, 8, T>(sums, task, b, quants, x, xs, lane);
    } else {
      add_sub_block<Type, 0, 4, T>(sums, task, b, quants, x, xs, lane);
      add_sub_block<Type, 4, 4, T>(sums, task, b, quants, x, xs, lane);
    }
    quants += Type::kBlockBytes;
    x += kBlockCols * kPanelRows * kPlanes;
    xs++;
  }
  for (int t = 0; t < T; t++) store_output(task, out + t * task.out_stride, sums[t]);
}

template <class Type>
void matmul(const MatmulTask& task) {
  const std::int64_t blocks = task.cols / kBlockCols;
  std::int64_t row = task.first_row;
  const std::int64_t end = row + task.rows;
  while (row < end) {
    const std::int64_t panel = row / kPanelRows;
    const std::int64_t lane = row % kPanelRows;
    const std::int8_t* x = task.x_quants + panel * task.cols * kPanelRows * kPlanes + lane * 4;
    const BlockScales* xs = task.x_scales + panel * blocks;
    float* out = task.out + row * task.out_stride;
    const std::int64_t ahead = row == task.first_row ? task.next_group : 0;
    std::int64_t n = end - row < kPanelRows - lane ? end - row : kPanelRows - lane;
    if (n >= kTokens) n = kTokens;
    for_tokens<kTokens>(static_cast<int>(n),
                        [&](auto count) { tile<Type, decltype(count)::kValue>(task, x, xs, lane, ahead, out); });
    row += n;
  }
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
