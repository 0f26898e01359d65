// Quantised weights x activations of 8 bits with a scale per 32 columns (Activations::int8). Per block of 32 columns
// (or sub-block of 16) an exact integer dot product per row, times the weights' scale and rounded, times the
// activations' scale and added to the output. All in ascending order: the float operations behind one output are the
// same whatever the tile, so its bits are too. Few rows read the weights where they lie. Many rows walk over 256
// columns of them that were unpacked once, and keep their sums in memory meanwhile.
#include GLIA_SIMD_HEADER

#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kQuadBytes = 4;                          ///< 4 columns of a row
constexpr int kQuadStride = kPanelRows * kQuadBytes;   ///< to the next 4 columns
constexpr int kChunkBlocks = kSuperCols / kBlockCols;  ///< that are unpacked at a time
constexpr int kFewRows = 3 * kPanelRows - 1;           ///< for which unpacking does not pay
constexpr int kManyRows = 128;                         ///< whose sums are kept at a time: 16 KiB

/// Whether a sum's bits, started at kFloatStart, are the float kFloatOffset + sum. Its product with a scale needs no
/// conversion then: (offset + sum) d - offset d is exact before it is rounded, as offset d is exact for a d of up to 22
/// bits, which every scale but a float32 one has; and |sum| <= 32 * 128 * 127 < 2^22.
template <class Type>
constexpr bool kSumIsFloat = kFloatStart != 0 && !Type::kGroupScales;
constexpr float kFloatOffset = 0x1.8p23F;

template <class Type>
constexpr int kParts = kBlockCols / Type::kSubBlock;  ///< of a block, which have scales of their own

/// A part's scale d, kFloatOffset d, and what times the sum of its activations is to be added.
struct Factors {
  F d, offset, m;
};

template <class Type>
GLIA_INLINE Factors factors_of(const Scale& s) {
  const F offset = kSumIsFloat<Type> ? mul(s.d, set1(-kFloatOffset)) : zero();
  return {s.d, offset, Type::kZeros ? sub(zero(), mul(s.d, s.m)) : s.m};
}

template <class Type>
GLIA_INLINE F scaled(I total, const Factors& f) {
  if constexpr (kSumIsFloat<Type>) return fma(float_bits(total), f.d, f.offset);
  return mul(to_float(total), f.d);
}

/// Weights of G groups where they lie.
template <class Type, int G>
struct InPlace {
  const std::uint8_t* quants;  ///< of the first group
  const std::uint8_t* scales;
  std::int64_t group_bytes;
  int scale_shift;
  std::int64_t ahead;  ///< bytes to the groups to fetch meanwhile; 0: none

  template <int c>
  GLIA_INLINE_MEMBER Bytes bytes(std::int64_t b, int g) const {
    return kernels::GLIA_ISA::group_bytes<Type, c>(quants + g * group_bytes + b * Type::kBlockBytes);
  }
  GLIA_INLINE_MEMBER Factors factors(std::int64_t b, int part, int g) const {
    return factors_of<Type>(load_scale<Type>(scales + g * group_bytes, scale_shift, b, part));
  }
  GLIA_INLINE_MEMBER void fetch(std::int64_t b) const {
    if (ahead == 0) return;
    for (int g = 0; g < G; g++) {
      const std::int64_t group = g * group_bytes;
      fetch_block<Type>(quants + group + b * Type::kBlockBytes, scales + group, scale_shift, ahead, b);
    }
  }
};

/// Up to 256 columns of G groups, a byte a weight.
template <class Type, int G>
struct Unpacked {
  static constexpr bool kHasMin = Type::kMin || Type::kZeros;
  alignas(64) std::uint8_t quants[kChunkBlocks][8][G][64];
  alignas(64) float scale[kChunkBlocks][kParts<Type>][G][16];
  alignas(64) float offset[kChunkBlocks][kParts<Type>][G][16];
  alignas(64) float min[kHasMin ? kChunkBlocks : 1][kParts<Type>][G][16];

  template <int c>
  GLIA_INLINE_MEMBER Bytes bytes(std::int64_t b, int g) const {
    return load_bytes(quants[b][c][g]);
  }
  GLIA_INLINE_MEMBER Factors factors(std::int64_t b, int part, int g) const {
    return {load(scale[b][part][g]), kSumIsFloat<Type> ? load(offset[b][part][g]) : zero(),
            kHasMin ? load(min[b][part][g]) : zero()};
  }
  /// Blocks [first, first + count) of `from`.
  GLIA_INLINE_MEMBER void fill(const InPlace<Type, G>& from, std::int64_t first, std::int64_t count) {
    for (std::int64_t b = 0; b < count; b++) {
      from.fetch(first + b);
      for (int g = 0; g < G; g++) {
        for_groups<0, 8>([&](auto group) __attribute__((always_inline)) {
          constexpr int c = decltype(group)::kValue;
          store_bytes(quants[b][c][g], from.template bytes<c>(first + b, g));
        });
        for (int part = 0; part < kParts<Type>; part++) {
          const Factors f = from.factors(first + b, part, g);
          store(scale[b][part][g], f.d);
          store(offset[b][part][g], f.offset);
          if constexpr (kHasMin) store(min[b][part][g], f.m);
        }
      }
    }
  }
};

/// T rows of a panel.
struct PanelRows {
  const std::int8_t* x;       ///< of the first row and block 0
  const BlockScales* scales;  ///< of block 0
  std::int64_t lane;          ///< of the first row
};

GLIA_INLINE PanelRows panel_rows(const MatmulTask& task, std::int64_t row, std::int64_t first_block) {
  const std::int64_t panel = row / kPanelRows;
  const std::int64_t lane = row % kPanelRows;
  const std::int64_t block = panel * (task.cols / kBlockCols) + first_block;
  return {task.x_quants + block * kBlockCols * kPanelRows + lane * kQuadBytes, task.x_scales + block, lane};
}

/// -sum(q) of part `part` of a block.
template <class Type>
GLIA_INLINE std::int32_t negative_sum(const BlockScales& xs, std::int64_t lane, int part) {
  if constexpr (kParts<Type> == 1) return xs.negative_sum[lane];
  return part == 0 ? xs.negative_sum_head[lane] : xs.negative_sum[lane] - xs.negative_sum_head[lane];
}

/// Adds part `part` of block b.
template <class Type, int part, int T, int G, class Source>
GLIA_INLINE void add_part(F (&sums)[T][G], const Source& source, const PanelRows& at, std::int64_t b) {
  using D = ByteDot<Type::kDotBits>;
  constexpr int kFirst = part * Type::kSubBlock / 4;
  constexpr bool kSubtract = Type::kZero != D::kSubtracted;  // what unsigned weights have too much
  const std::int8_t* x = at.x + b * kBlockCols * kPanelRows;
  const BlockScales& xs = at.scales[b];
  std::int32_t starts[T];
  for (int t = 0; t < T; t++) {
    starts[t] = kSumIsFloat<Type> ? kFloatStart : 0;
    if constexpr (kSubtract) starts[t] += negative_sum<Type>(xs, at.lane + t, part) * Type::kZero;
  }
  D dot[T][G];
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    for (int g = 0; g < G; g++) dot[t][g].start(set1_int(starts[t]));
  }
  for_groups<kFirst, kFirst + Type::kSubBlock / 4>([&](auto group) __attribute__((always_inline)) {
    constexpr int c = decltype(group)::kValue;
    typename D::Weights w[G];
    for (int g = 0; g < G; g++) w[g] = D::weights(source.template bytes<c>(b, g));
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      const auto quad = load_half(x + c * kQuadStride + t * kQuadBytes);
      for (int g = 0; g < G; g++) dot[t][g].template add<c - kFirst>(w[g], quad);
    }
  });
  for (int g = 0; g < G; g++) {
    const Factors f = source.factors(b, part, g);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      const std::int64_t lane = at.lane + t;
      sums[t][g] = fma(scaled<Type>(dot[t][g].total(), f), set1(xs.scale[lane]), sums[t][g]);
      if constexpr ((Type::kMin || Type::kZeros) && kParts<Type> == 1) {
        sums[t][g] = fma(f.m, set1(xs.sum[lane]), sums[t][g]);
      } else if constexpr (Type::kMin || Type::kZeros) {
        const auto sum = static_cast<float>(-negative_sum<Type>(xs, lane, part));
        sums[t][g] = fma(f.m, set1(xs.scale[lane] * sum), sums[t][g]);
      }
    }
  }
}

template <class Type, int T, int G, class Source>
GLIA_INLINE void add_block(F (&sums)[T][G], const Source& source, const PanelRows& at, std::int64_t b) {
  add_part<Type, 0, T, G>(sums, source, at, b);
  if constexpr (kParts<Type> == 2) add_part<Type, 1, T, G>(sums, source, at, b);
}

/// Outputs of row `row` and the G groups from `group` on, as far as they exist.
template <int G, class Sum>
GLIA_INLINE void store_row(const MatmulTask& task, std::int64_t group, std::int64_t row, Sum sum) {
  float* out = task.out + row * task.out_stride + group * kGroupRows;
  for (int g = 0; g < G && group + g < task.groups; g++) {
    const int lanes = group + g + 1 == task.groups ? task.lanes : kGroupRows;
    const float* bias = task.bias != nullptr ? task.bias + (group + g) * kGroupRows : nullptr;
    store_output(out + g * kGroupRows, sum(g), bias, task.accumulate, lanes);
  }
}

/// body(Count<T>) for the smallest T = most, most / 2, .. 1 that is at least n.
template <int most, class Body>
GLIA_INLINE void for_power(std::int64_t n, Body body) {
  if constexpr (most > 1) {
    if (n <= most / 2) return for_power<most / 2>(n, body);
  }
  body(Count<most>{});
}

/// T rows of a panel from `row` on; the first `rows` of them are stored. (A tile for every number of rows would double
/// the code.)
template <class Type, int T, int G>
GLIA_INLINE void tile(const MatmulTask& task, const InPlace<Type, G>& weights, std::int64_t group, std::int64_t row,
                      std::int64_t rows) {
  const PanelRows at = panel_rows(task, row, 0);
  F sums[T][G];
  for (int t = 0; t < T; t++) {
    for (int g = 0; g < G; g++) sums[t][g] = zero();
  }
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t b = 0; b < blocks; b++) {
    weights.fetch(b);
    add_block<Type, T, G>(sums, weights, at, b);
  }
#pragma GCC unroll 8
  for (int t = 0; t < T; t++) {
    if (t == rows) break;
    store_row<G>(
        task, group, row + t, [&](int g) __attribute__((always_inline)) { return sums[t][g]; });
  }
}

template <class Type, int G>
GLIA_INLINE void few_rows(const MatmulTask& task, InPlace<Type, G> weights, std::int64_t group) {
  const std::int64_t end = task.first_row + task.rows;
  for (std::int64_t row = task.first_row; row < end;) {
    const std::int64_t n = end - row < kTokens ? end - row : kTokens;
    for_power<kTokens>(n, [&](auto count) { tile<Type, decltype(count)::kValue, G>(task, weights, group, row, n); });
    weights.ahead = 0;
    row += n;
  }
}

/// Up to kManyRows rows from first_row on, which starts a panel. Whole tiles are computed: panels have room for them.
template <class Type, int G>
GLIA_INLINE void many_rows(const MatmulTask& task, const InPlace<Type, G>& weights, std::int64_t group,
                           std::int64_t first_row, std::int64_t rows) {
  alignas(64) float totals[kManyRows][G][kGroupRows];
  Unpacked<Type, G> chunk;
  const std::int64_t blocks = task.cols / kBlockCols;
  for (std::int64_t first = 0; first < blocks; first += kChunkBlocks) {
    const std::int64_t count = first + kChunkBlocks < blocks ? kChunkBlocks : blocks - first;
    chunk.fill(weights, first, count);
    for (std::int64_t row = 0; row < rows; row += kTokens) {
      const PanelRows at = panel_rows(task, first_row + row, first);
      F sums[kTokens][G];
      for (int t = 0; t < kTokens; t++) {
        for (int g = 0; g < G; g++) sums[t][g] = first == 0 ? zero() : load(totals[row + t][g]);
      }
      for (std::int64_t b = 0; b < count; b++) add_block<Type, kTokens, G>(sums, chunk, at, b);
      for (int t = 0; t < kTokens; t++) {
        for (int g = 0; g < G; g++) store(totals[row + t][g], sums[t][g]);
      }
    }
  }
  for (std::int64_t row = 0; row < rows; row++) {
    store_row<G>(
        task, group, first_row + row, [&](int g) __attribute__((always_inline)) { return load(totals[row][g]); });
  }
}

/// All rows, by G groups. Groups that the task lacks are computed as the first again and not stored.
template <class Type>
void matmul(const MatmulTask& task) {
  constexpr int G = kGroups;
  for (std::int64_t group = 0; group < task.groups; group += G) {
    InPlace<Type, G> weights;
    weights.quants = task.quants + group * task.group_bytes;
    weights.scales = task.scales + group * task.group_bytes;
    weights.group_bytes = group + G <= task.groups ? task.group_bytes : 0;
    weights.scale_shift = task.scale_shift;
    weights.ahead = group + G < task.groups || task.more_groups ? G * task.group_bytes : 0;
    if (task.rows <= kFewRows) {
      few_rows<Type, G>(task, weights, group);
      continue;
    }
    for (std::int64_t row = 0; row < task.rows; row += kManyRows) {
      const std::int64_t rows = task.rows - row < kManyRows ? task.rows - row : kManyRows;
      many_rows<Type, G>(task, weights, group, task.first_row + row, rows);
      weights.ahead = 0;
    }
  }
}

}  // namespace

using tensor::DType;
extern const MatmulKernel kMatmulInt8[tensor::kDTypes];
/// In the order of tensor::DType.
const MatmulKernel kMatmulInt8[tensor::kDTypes] = {nullptr,
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
