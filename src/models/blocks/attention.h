// Self-attention with grouped queries and rotary positions, over paged keys and values or within whole texts:
//   W_o attention(rope(norm(W_q x)), rope(norm(W_k x)), W_v x)
// W_q, W_k and W_v are one stacked matrix [(heads + 2 kv_heads) * head_dim, hidden]. The norms of queries and keys are
// per head; they and the biases are there where their weights are.
// Ownership: owns its weights, borrows the rotary table. Thread rule: one forward at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/device.h"
#include "models/blocks/step.h"
#include "models/blocks/weight_binder.h"

namespace glia::models {

struct AttentionShape {
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  float scale = 0;          ///< of q k^T
  float softcap = 0;        ///< of the scores; 0: none
  std::int32_t window = 0;  ///< positions that a row sees, itself included; 0: all before it
  float norm_eps = 0;       ///< of the norms of queries and keys
  bool both_ways = false;   ///< of whole texts: a row sees as far behind itself as before

  std::int64_t q_cols() const { return std::int64_t{heads} * head_dim; }
  std::int64_t kv_cols() const { return std::int64_t{kv_heads} * head_dim; }
  std::int64_t qkv_cols() const { return q_cols() + 2 * kv_cols(); }
};

struct AttentionWeights {
  std::unique_ptr<kernels::Matrix> qkv;  ///< [qkv_cols, hidden]
  DeviceVector qkv_bias;                 ///< [qkv_cols] or empty
  DeviceVector q_norm, k_norm;           ///< [head_dim] or empty
  DeviceVector sinks;                    ///< [heads] or empty
  std::unique_ptr<kernels::Matrix> out;  ///< [hidden, q_cols]
  DeviceVector out_bias;                 ///< [hidden] or empty
};

class AttentionBlock {
 public:
  AttentionBlock(const AttentionShape& shape, AttentionWeights weights) : shape_(shape), weights_(std::move(weights)) {}

  /// Writes keys and values of every row of `x` [n, hidden] to `layer` of the step's cache, if it has one; for the
  /// rows of `wanted` alone (of whole texts: all),
  /// out = attention(x), or out += attention(x) with `accumulate`. x is RMS-normalised first where norm.weight is set.
  /// out: [wanted.count, hidden]; it may be rows of x.
  void forward(Step& step, std::int32_t layer, const kernels::Rope& rope, kernels::Tensor out, kernels::Tensor x,
               const kernels::Norm& norm, RowRange wanted, bool accumulate) const;
  /// Arena floats that forward() takes for n rows.
  std::int64_t scratch_floats(std::int64_t n) const;
  std::size_t bytes() const;

 private:
  /// Of the rows of `wanted`, which q and out hold, to every row of k and v.
  void attend_cache(Step& step, std::int32_t layer, kernels::Tensor out, kernels::Tensor q, RowRange wanted) const;
  void attend_texts(Step& step, kernels::Tensor out, kernels::Tensor q, kernels::Tensor k, kernels::Tensor v) const;

  AttentionShape shape_;
  AttentionWeights weights_;
};

}  // namespace glia::models
