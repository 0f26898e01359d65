// What one instruction set's kernels offer to cpu_device.cpp. Plain structs only (see packed_format.h); every function
// is single-threaded, allocates nothing and works on the rows or tile it is given.
#pragma once

#include <cstdint>

#include "kernels/packed_format.h"

namespace glia::kernels {

/// One group of 16 output rows against activation rows [first_row, first_row + rows); first_row is a multiple of 8.
struct MatmulTask {
  const std::uint8_t* quants = nullptr;  ///< of the group
  const std::uint8_t* scales = nullptr;  ///< of the group; null for float types
  int scale_shift = 0;                   ///< of types with group scales: one per 32 << scale_shift columns
  std::int64_t cols = 0;
  const std::int8_t* x_quants = nullptr;  ///< panels [cols / 4][plane][8][4], from row 0
  const BlockScales* x_scales = nullptr;  ///< panels [cols / 32], from row 0
  const float* x_floats = nullptr;        ///< panels [cols][8], from row 0
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  float* out = nullptr;  ///< row 0, at the group's first output
  std::int64_t out_stride = 0;
  int lanes = kGroupRows;  ///< outputs of the group that exist
  bool accumulate = false;
  const float* bias = nullptr;  ///< at the group's first output, or null
  std::int64_t next_group = 0;  ///< bytes to the group that comes next, to fetch it while this one is used; 0: none
};
using MatmulKernel = void (*)(const MatmulTask&);

/// Where keys and values of one layer and kv head lie; elements are float16 or float32.
/// Keys of a page: [head_dim][slots], values: [page_tokens][value_cols]; both padded to whole vectors.
struct KvView {
  const std::uint8_t* keys = nullptr;    ///< of page 0
  const std::uint8_t* values = nullptr;  ///< of page 0
  std::int64_t page_bytes = 0;           ///< from a page to the next
  std::int32_t page_tokens = 0;
  std::int32_t slots = 0;  ///< page_tokens rounded up to 16
  std::int32_t head_dim = 0;
  std::int32_t value_cols = 0;  ///< head_dim rounded up to 16
};

inline constexpr int kAttentionBlock = 128;  ///< positions per softmax step, counted from position 0
inline constexpr int kMaxQueries = 8;
// Floats of an AttentionTask's scratch: kScratchScores + kScratchPerColumn * value_cols.
inline constexpr int kScratchPerColumn = 2 * kMaxQueries;                            ///< queries and sums
inline constexpr int kScratchScores = kMaxQueries * (kAttentionBlock + kGroupRows);  ///< a vector more than a block

/// Queries of one sequence that read the same kv head.
struct AttentionTask {
  KvView kv;
  const std::int32_t* pages = nullptr;
  int queries = 0;                       ///< at most KernelTable::queries
  const float* q[kMaxQueries] = {};      ///< [head_dim]
  float* out[kMaxQueries] = {};          ///< [head_dim]
  std::int32_t first[kMaxQueries] = {};  ///< positions a query sees: [first, length), not empty
  std::int32_t length[kMaxQueries] = {};
  float sink[kMaxQueries] = {};  ///< one more logit of a query's denominator, where has_sinks
  bool has_sinks = false;
  float softcap = 0;              ///< 0: none
  float scale[kMaxQueries] = {};  ///< of q k^T
  float* scratch = nullptr;       ///< of this task alone while it runs
};

/// out[j] = gate(x[j]) * up[j]; out[j] = gate(x[j]) where up is null. out may be x. (Gate says what else up may mean.)
using GateKernel = void (*)(float* out, const float* x, const float* up, std::int64_t n);

struct KernelTable {
  int queries;                       ///< most queries in one AttentionTask
  const MatmulKernel* matmul_fast;   ///< by tensor::DType; null for float types, which have the exact kernel only
  const MatmulKernel* matmul_exact;  ///< by tensor::DType

  /// Factor that RMS-normalises x: 1 / sqrt(mean(x^2) + eps).
  float (*rms_factor)(const float* x, std::int64_t cols, float eps);
  /// out[j] = x[j] * factor * weight[j]; a null weight copies x.
  void (*scale_row)(float* out, const float* x, std::int64_t cols, float factor, const float* weight);
  /// Row `lane` of a panel from scale_row(x); cols is a multiple of 32.
  void (*quantize_row)(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols,
                       float factor, const float* weight);
  /// out[j] = (x[j] - mean) / sqrt(variance + eps) * weight[j] + bias[j]; bias may be null, out may be x.
  void (*layer_norm)(float* out, const float* x, std::int64_t cols, const float* weight, const float* bias, float eps);
  const GateKernel* gates;  ///< by Gate
  /// x[j] *= factor
  void (*scale)(float* x, std::int64_t n, float factor);
  /// x[j] = cap tanh(x[j] / cap)
  void (*softcap)(float* x, std::int64_t n, float cap);
  /// out[j] += factor * x[j]; with 1 exactly out[j] + x[j]
  void (*add)(float* out, const float* x, std::int64_t n, float factor);
  /// Rotates one row's heads; cos_sin: cosines [dims / 2], then sines.
  void (*rope)(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, bool interleaved,
               const float* cos_sin);
  /// out = float16(x), saturating at +-65504.
  void (*to_f16)(std::uint16_t* out, const float* x, std::int64_t n);
  /// out = exp(x), for tests of the polynomial.
  void (*exp)(float* out, const float* x, std::int64_t n);
  void (*attention_f16)(const AttentionTask&);
  void (*attention_f32)(const AttentionTask&);
};

// Each exists where it is built: baseline everywhere, the others on their architecture.
namespace baseline {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
namespace dotprod {
extern const KernelTable kTable;
}

}  // namespace glia::kernels
