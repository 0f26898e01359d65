// Float weights rounded to 12 bits x activations of 14 bits. Per segment of 128 columns an exact integer dot product
// per output (128 * 2047 * 8191 < 2^31), times both scales and added to a float32 sum, in ascending order: the float
// operations behind one output are the same whatever the tile, so its bits are too. 32 rows at a time, whose
// activations and sums stay in the first-level cache, pass all weights, which stay in the second.
#include GLIA_SIMD_HEADER

#include "kernels/isa/rows.h"
#include "kernels/isa/weights.h"
#include "kernels/kernel_table.h"

namespace glia::kernels::GLIA_ISA {
namespace {

constexpr int kManyRows = 32;  ///< whose sums are kept at a time, and whose activations stay in the first-level cache
constexpr int kPairStride = 2 * kGroupRows;

/// Sums of G groups of outputs and T rows of a panel.
struct Place {
  const std::int16_t* weights;  ///< of the first group, at the segment
  std::int64_t group_words;     ///< from a group to the next
  const std::int16_t* x;        ///< of the first row, at the segment
  std::int64_t pairs;           ///< of columns of the segment
};

template <int T, int G>
GLIA_INLINE void dot_products(I (&dot)[T][G], const Place& at) {
  for (int t = 0; t < T; t++) {
    for (int g = 0; g < G; g++) dot[t][g] = set1_int(0);
  }
  const std::int16_t* weights = at.weights;
  const std::int16_t* x = at.x;
  for (std::int64_t pair = 0; pair < at.pairs; pair++) {
    Words w[G];
    for (int g = 0; g < G; g++) w[g] = load_words(weights + g * at.group_words);
#pragma GCC unroll 8
    for (int t = 0; t < T; t++) {
      const Words two = set1_pair(x + t * kWordCols);
      for (int g = 0; g < G; g++) dot[t][g] = add_pairs(dot[t][g], w[g], two);
    }
    weights += kPairStride;
    x += 2;
  }
}

/// The G groups from `group` on. Those that the task lacks are computed as the first again and not stored.
template <int G>
struct Groups {
  const WordsTask& task;
  std::int64_t group;
  std::int64_t group_bytes;
  std::int64_t segments;

  explicit GLIA_INLINE_MEMBER Groups(const WordsTask& t, std::int64_t first)
      : task(t),
        group(first),
        group_bytes(first + G <= t.groups ? t.group_bytes : 0),
        segments((t.cols + kWordCols - 1) / kWordCols) {}

  GLIA_INLINE_MEMBER const std::uint8_t* weights() const { return task.weights + group * task.group_bytes; }
  GLIA_INLINE_MEMBER F scale(std::int64_t segment, int g) const {
    const std::uint8_t* at = weights() + g * group_bytes + task.cols * kPairStride;
    return load(reinterpret_cast<const float*>(at) + segment * kGroupRows);
  }

  /// Adds segment `segment` of T rows from `row` on to their sums.
  template <int T>
  GLIA_INLINE_MEMBER void add(float (*totals)[G][kGroupRows], std::int64_t row, std::int64_t segment) const {
    const std::int64_t panel = row / kPanelRows;
    const std::int64_t lane = row % kPanelRows;
    const std::int64_t first = segment * kWordCols;
    const std::int64_t left = task.cols - first;
    const Place at = {reinterpret_cast<const std::int16_t*>(weights()) + first * kGroupRows, group_bytes / 2,
                      task.x + ((panel * segments + segment) * kPanelRows + lane) * kWordCols,
                      (left < kWordCols ? left : kWordCols) / 2};
    I dot[T][G];
    dot_products<T, G>(dot, at);
    const float* x_scales = task.x_scales + (panel * segments + segment) * kPanelRows + lane;
    for (int g = 0; g < G; g++) {
      const F weight_scale = scale(segment, g);
#pragma GCC unroll 8
      for (int t = 0; t < T; t++) {
        const F before = segment == 0 ? zero() : load(totals[t][g]);
        store(totals[t][g], fma(to_float(dot[t][g]), mul(weight_scale, set1(x_scales[t])), before));
      }
    }
  }

  GLIA_INLINE_MEMBER void store_row(std::int64_t row, float (&totals)[G][kGroupRows]) const {
    float* out = task.out + row * task.out_stride + group * kGroupRows;
    for (int g = 0; g < G && group + g < task.groups; g++) {
      const int lanes = group + g + 1 == task.groups ? task.lanes : kGroupRows;
      const float* bias = task.bias != nullptr ? task.bias + (group + g) * kGroupRows : nullptr;
      store_output(out + g * kGroupRows, load(totals[g]), bias, task.accumulate, lanes);
    }
  }
};

/// Up to kManyRows rows from first_row on, which starts a panel.
template <int G>
GLIA_INLINE void many_rows(const Groups<G>& groups, std::int64_t first_row, std::int64_t rows) {
  alignas(64) float totals[kManyRows][G][kGroupRows];
  for (std::int64_t segment = 0; segment < groups.segments; segment++) {
    for (std::int64_t row = 0; row < rows; row += kTokens) {
      const std::int64_t n = rows - row < kTokens ? rows - row : kTokens;
      for_tokens<kTokens>(static_cast<int>(n), [&](auto count) {
        groups.template add<decltype(count)::kValue>(totals + row, first_row + row, segment);
      });
    }
  }
  for (std::int64_t row = 0; row < rows; row++) groups.store_row(first_row + row, totals[row]);
}

}  // namespace

void matmul_words(const WordsTask& task) {
  for (std::int64_t row = 0; row < task.rows; row += kManyRows) {
    const std::int64_t rows = task.rows - row < kManyRows ? task.rows - row : kManyRows;
    for (std::int64_t group = 0; group < task.groups; group += kGroups) {
      many_rows(Groups<kGroups>(task, group), task.first_row + row, rows);
    }
  }
}

}  // namespace glia::kernels::GLIA_ISA
