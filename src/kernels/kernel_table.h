// What one instruction set's kernels offer to cpu_device.cpp. Plain structs only (see packed_format.h); every function
// is single-threaded, allocates nothing and works on the rows or tile it is given.
#pragma once

#include <cstdint>

#include "kernels/packed_format.h"
#include "kernels/vector_kernels.h"

namespace glia::kernels {

/// Groups of 16 output rows against activation rows [first_row, first_row + rows); first_row is a multiple of 8. The
/// exact kernels take one group, the fast ones any number.
struct MatmulTask {
  std::int64_t groups = 1;
  std::int64_t group_bytes = 0;          ///< from a group to the next
  const std::uint8_t* quants = nullptr;  ///< of the first group
  const std::uint8_t* scales = nullptr;  ///< of the first group; null for float types
  int scale_shift = 0;                   ///< of types with group scales: one per 32 << scale_shift columns
  std::int64_t cols = 0;
  const std::int8_t* x_quants = nullptr;  ///< panels, from row 0
  const BlockScales* x_scales = nullptr;  ///< panels [cols / 32], from row 0
  const float* x_floats = nullptr;        ///< panels [cols][8], from row 0
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  float* out = nullptr;  ///< row 0, at the first group's first output
  std::int64_t out_stride = 0;
  int lanes = kGroupRows;  ///< outputs of the last group that exist
  bool accumulate = false;
  const float* bias = nullptr;  ///< at the first group's first output, or null
  bool more_groups = false;     ///< another group follows the last: to be fetched while that one is used
};
using MatmulKernel = void (*)(const MatmulTask&);

/// The same for words.
struct WordsTask {
  std::int64_t groups = 1;
  std::int64_t group_bytes = 0;           ///< from a group to the next
  const std::uint8_t* weights = nullptr;  ///< of the first group
  std::int64_t cols = 0;
  const std::int16_t* x = nullptr;  ///< panels [segments][8][128], from row 0
  const float* x_scales = nullptr;  ///< panels [segments][8], from row 0
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  float* out = nullptr;  ///< row 0, at the first group's first output
  std::int64_t out_stride = 0;
  int lanes = kGroupRows;  ///< outputs of the last group that exist
  bool accumulate = false;
  const float* bias = nullptr;  ///< at the first group's first output, or null
};

/// Where keys and values of one layer and kv head lie, KvType says as what. Floats: keys of a page [head_dim][slots],
/// values [page_tokens][value_cols]. Integers, in pairs for dot products: keys [head_dim / 2][slots][2], values
/// [page_tokens / 2][value_cols][2], both rounded up, and float32 scales of keys [slots], of values [slots].
struct KvView {
  const std::uint8_t* keys = nullptr;    ///< of page 0
  const std::uint8_t* values = nullptr;  ///< of page 0
  std::int64_t page_bytes = 0;           ///< from a page to the next
  std::int64_t scale_offset = 0;         ///< bytes from a page's keys to its scales
  std::int32_t page_tokens = 0;
  std::int32_t slots = 0;  ///< page_tokens rounded up to 16
  std::int32_t head_dim = 0;
  std::int32_t value_cols = 0;  ///< head_dim rounded up to 16
};

/// Sizes of the above for one kv head of one page of one layer, in bytes where it says so.
struct KvLayout {
  std::int64_t slots = 0;
  std::int64_t value_cols = 0;
  std::int64_t key_bytes = 0;     ///< from its keys to its values
  std::int64_t scale_offset = 0;  ///< from its keys to its scales
  std::int64_t head_bytes = 0;    ///< all of it
};

// Integer keys of 16 bits have a Euclidean length of kMostLength; of 8 bits, and values, a largest element of these.
inline constexpr float kMostLength = 32700;
inline constexpr int kMostKey8 = 127;
inline constexpr int kMostValue16 = 8191;
inline constexpr int kMostValue8 = 127;

inline constexpr int kAttentionBlock = 128;  ///< positions per softmax step, counted from position 0
inline constexpr int kAttentionChunk = 256;  ///< positions that threads may share out; a multiple of the block
inline constexpr int kMaxQueries = 8;
// Floats of an AttentionTask's scratch: kScratchScores + kScratchPerColumn * value_cols.
inline constexpr int kScratchPerColumn = 3 * kMaxQueries;  ///< queries and twice their sums
inline constexpr int kScratchScores = (kMaxQueries + 1) * (kAttentionBlock + 2 * kGroupRows) +  ///< and values' scales
                                      kMaxQueries * kAttentionBlock / 2;                        ///< integer weights
inline constexpr int kPartialHead = 16;  ///< floats before a partial result's values: its maximum, its total

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
  /// Null, or where to leave what attention_merge turns into `out`, [chunks of begin .. end][queries][kPartialHead +
  /// value_cols]: the positions in [begin, end) alone are seen, both multiples of kAttentionChunk.
  float* partial = nullptr;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};
using AttentionKernel = void (*)(const AttentionTask&);

/// out[j] = gate(x[j]) * up[j]; out[j] = gate(x[j]) where up is null. out may be x. (Gate says what else up may mean.)
using GateKernel = void (*)(float* out, const float* x, const float* up, std::int64_t n);

struct KernelTable {
  int queries;                       ///< most queries in one AttentionTask
  const MatmulKernel* matmul_fast;   ///< by tensor::DType; null for float types, which have the exact kernel only
  const MatmulKernel* matmul_int8;   ///< likewise, on activations from quantize_row_int8
  const MatmulKernel* matmul_exact;  ///< by tensor::DType
  void (*matmul_words)(const WordsTask&);

  /// Factor that RMS-normalises x: 1 / sqrt(mean(x^2) + eps).
  float (*rms_factor)(const float* x, std::int64_t cols, float eps);
  /// out[j] = x[j] * factor * weight[j]; a null weight copies x.
  void (*scale_row)(float* out, const float* x, std::int64_t cols, float factor, const float* weight);
  /// Row `lane` of a panel from scale_row(x); cols is a multiple of 32.
  using QuantizeRow = void (*)(std::int8_t* quants, BlockScales* scales, int lane, const float* x, std::int64_t cols,
                               float factor, const float* weight);
  QuantizeRow quantize_row, quantize_row_int8;
  /// The same for words.
  void (*quantize_row_words)(std::int16_t* quants, float* scales, int lane, const float* x, std::int64_t cols,
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
  /// out = bfloat16(x), the nearest.
  void (*to_bf16)(std::uint16_t* out, const float* x, std::int64_t n);
  /// sqrt(sum(x^2)), max(|x|)
  float (*length)(const float* x, std::int64_t n);
  float (*largest)(const float* x, std::int64_t n);
  /// out[j] = x[j] * factor, the nearest integer, which must be in range
  void (*to_int16)(std::int16_t* out, const float* x, std::int64_t n, float factor);
  void (*to_int8)(std::int8_t* out, const float* x, std::int64_t n, float factor);
  AttentionKernel attention_f32, attention_f16, attention_bf16, attention_int16, attention_int8;
  /// out from the partial results of all chunks that the queries see. partials: of a task with those chunks
  void (*attention_merge)(const AttentionTask&, const float* partials, int chunks);
  const VectorKernels* vectors;
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
