// Exactly dequantised weights x float32 activations. Each block of 32 columns is summed in column order, the block sums
// in block order; the same for every tile, so the bits of an output do not depend on the tile.
#include GLIA_SIMD_HEADER

#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

/// One column's weights against T activations.
template <int T>
GLIA_INLINE void add_column(F (&sums)[T], F w, const float* x) {
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) sums[t] = fma(w, set1(x[t]), sums[t]);
}

GLIA_INLINE void store_row(const MatmulTask& task, float* out, int t, F total) {
  store_output(out + t * task.out_stride, total, task.bias, task.accumulate, task.lanes);
}

template <class Type>
GLIA_INLINE F weight(F q, const Scale& s) {
  if constexpr (Type::kZeros) {
    return mul(sub(q, s.m), s.d);
  } else if constexpr (Type::kMin) {
    return fma(q, s.d, s.m);
  } else {
    return mul(sub(q, set1(static_cast<float>(Type::kZero))), s.d);
  }
}

template <class Type, int T>
GLIA_INLINE void quantised_tile(const MatmulTask& task, const float* x, std::int64_t ahead, float* out) {
  F totals[T];
  for (int t = 0; t < T; t++) totals[t] = zero();
  const std::uint8_t* quants = task.quants;
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t b = 0; b < blocks; b++) {
    if (ahead != 0) fetch_block<Type>(quants, task.scales, task.scale_shift, ahead, b);
    F sums[T];
    for (int t = 0; t < T; t++) sums[t] = zero();
    Scale s = load_scale<Type>(task.scales, task.scale_shift, b, 0);
    for_groups<0, 8>([&](auto group) __attribute__((always_inline)) {
      constexpr int g = decltype(group)::kValue;
      if constexpr (Type::kSubBlock == 16 && g == 4) s = load_scale<Type>(task.scales, task.scale_shift, b, 1);
      const Bytes w = group_bytes<Type, g>(quants);
      const float* column = x + 4 * g * kPanelRows;
      add_column(sums, weight<Type>(byte_of_lane<0>(w), s), column);
      add_column(sums, weight<Type>(byte_of_lane<1>(w), s), column + kPanelRows);
      add_column(sums, weight<Type>(byte_of_lane<2>(w), s), column + 2 * kPanelRows);
      add_column(sums, weight<Type>(byte_of_lane<3>(w), s), column + 3 * kPanelRows);
    });
    for (int t = 0; t < T; t++) totals[t] = add(totals[t], sums[t]);
    quants += Type::kBlockBytes;
    x += kBlockCols * kPanelRows;
  }
  for (int t = 0; t < T; t++) store_row(task, out, t, totals[t]);
}

template <int T>
GLIA_INLINE void f8_tile(const MatmulTask& task, const float* x, std::int64_t ahead, float* out) {
  F totals[T];
  for (int t = 0; t < T; t++) totals[t] = zero();
  const std::uint8_t* w = task.quants;
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t b = 0; b < blocks; b++) {
    if (ahead != 0) {
      for (int i = 0; i < PackedF8::kBlockBytes; i += 64) __builtin_prefetch(w + ahead + i);
    }
    const auto* scales = task.scales + (b >> task.scale_shift) * PackedF8::kSubScaleBytes;
    const F d = load(reinterpret_cast<const float*>(scales));
    F sums[T];
    for (int t = 0; t < T; t++) sums[t] = zero();
    for (int k = 0; k < kBlockCols; k++) add_column(sums, mul(load_f8(w + k * kGroupRows), d), x + k * kPanelRows);
    for (int t = 0; t < T; t++) totals[t] = add(totals[t], sums[t]);
    w += PackedF8::kBlockBytes;
    x += kBlockCols * kPanelRows;
  }
  for (int t = 0; t < T; t++) store_row(task, out, t, totals[t]);
}

struct Float32 {
  using Element = float;
  static GLIA_INLINE_MEMBER F read(const float* p) { return load(p); }
};
struct Float16 {
  using Element = std::uint16_t;
  static GLIA_INLINE_MEMBER F read(const std::uint16_t* p) { return load(p); }
};
struct BFloat16 {
  using Element = std::uint16_t;
  static GLIA_INLINE_MEMBER F read(const std::uint16_t* p) { return load_bf16(p); }
};

template <class Type, int T>
GLIA_INLINE void float_tile(const MatmulTask& task, const float* x, std::int64_t ahead, float* out) {
  F totals[T];
  for (int t = 0; t < T; t++) totals[t] = zero();
  const auto* w = reinterpret_cast<const typename Type::Element*>(task.quants);
  for (std::int64_t first = 0; first < task.cols; first += kBlockCols) {
    const std::int64_t n = task.cols - first < kBlockCols ? task.cols - first : kBlockCols;
    F sums[T];
    for (int t = 0; t < T; t++) sums[t] = zero();
    if (ahead != 0) {
      const auto* next = reinterpret_cast<const std::uint8_t*>(w) + ahead;
      for (std::int64_t i = 0; i < n * kGroupRows * static_cast<std::int64_t>(sizeof(*w)); i += 64) {
        __builtin_prefetch(next + i);
      }
    }
    for (std::int64_t k = 0; k < n; k++) add_column(sums, Type::read(w + k * kGroupRows), x + k * kPanelRows);
    for (int t = 0; t < T; t++) totals[t] = add(totals[t], sums[t]);
    w += n * kGroupRows;
    x += n * kPanelRows;
  }
  for (int t = 0; t < T; t++) store_row(task, out, t, totals[t]);
}

/// Cuts the task's rows into tiles: body(count, x, ahead, out).
template <class Body>
GLIA_INLINE void for_tiles(const MatmulTask& task, Body body) {
  std::int64_t row = task.first_row;
  const std::int64_t end = row + task.rows;
  while (row < end) {
    const std::int64_t lane = row % kPanelRows;
    const float* x = task.x_floats + row / kPanelRows * task.cols * kPanelRows + lane;
    float* out = task.out + row * task.out_stride;
    const std::int64_t ahead = row == task.first_row && task.more_groups ? task.group_bytes : 0;
    std::int64_t n = end - row < kPanelRows - lane ? end - row : kPanelRows - lane;
    if (n >= kTokens) n = kTokens;
    for_tokens<kTokens>(static_cast<int>(n), [&](auto count) { body(count, x, ahead, out); });
    row += n;
  }
}

template <class Type>
void quantised(const MatmulTask& task) {
  for_tiles(task, [&](auto count, const float* x, std::int64_t ahead, float* out) {
    quantised_tile<Type, decltype(count)::kValue>(task, x, ahead, out);
  });
}

template <class Type>
void floats(const MatmulTask& task) {
  for_tiles(task, [&](auto count, const float* x, std::int64_t ahead, float* out) {
    float_tile<Type, decltype(count)::kValue>(task, x, ahead, out);
  });
}

void f8(const MatmulTask& task) {
  for_tiles(task, [&](auto count, const float* x, std::int64_t ahead, float* out) {
    f8_tile<decltype(count)::kValue>(task, x, ahead, out);
  });
}

}  // namespace

using tensor::DType;
extern const MatmulKernel kMatmulExact[tensor::kDTypes];
/// In the order of tensor::DType.
const MatmulKernel kMatmulExact[tensor::kDTypes] = {floats<Float32>,
                                                    floats<Float16>,
                                                    floats<BFloat16>,
                                                    nullptr,
                                                    nullptr,
                                                    quantised<Packed<DType::q4_0>>,
                                                    quantised<Packed<DType::q4_1>>,
                                                    quantised<Packed<DType::q5_0>>,
                                                    quantised<Packed<DType::q5_1>>,
                                                    quantised<Packed<DType::q8_0>>,
                                                    quantised<Packed<DType::q4_k>>,
                                                    quantised<Packed<DType::q5_k>>,
                                                    quantised<Packed<DType::q6_k>>,
                                                    quantised<Packed<DType::q2_k>>,
                                                    quantised<Packed<DType::q3_k>>,
                                                    quantised<Packed<DType::iq4_nl>>,
                                                    quantised<Packed<DType::iq4_xs>>,
                                                    quantised<Packed<DType::mxfp4>>,
                                                    nullptr,
                                                    nullptr,
                                                    nullptr,
                                                    quantised<PackedInt4>,
                                                    quantised<PackedInt4>,
                                                    f8,
                                                    f8};

}  // namespace glia::kernels::GLIA_ISA
