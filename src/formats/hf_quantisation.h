// What config.json's quantization_config says about a Hugging Face folder's tensors, and the folder's tensors as models
// ask for them: one weight [rows, cols] in place of the several tensors that a quantised layer is stored as. Internal
// to the room; safetensors.h is its face.
//
//   awq (version gemm)        X.qweight, X.qzeros, X.scales          -> X.weight, INT4 blocks
//   gptq (v1 and v2)          X.qweight, X.qzeros, X.scales, X.g_idx -> X.weight, INT4 blocks; with act-order F16
//   fp8, fbgemm_fp8,          X.weight (F8_E4M3) and X.weight_scale or X.weight_scale_inv, one scale for all, one per
//   compressed-tensors        row, or one per block                  -> X.weight, F8 blocks
//   mxfp4                     X_blocks, X_scales                     -> X, MXFP4 blocks
//
// Loss: none, but for GPTQ with act-order. There neighbouring columns have different scales, which no block of Glia's
// has; its weights d (q - zero) are rounded to float16, at most 2^-11 of each weight in float16's normal range, which
// is what the reference implementation computes with. Source: AutoAWQ, AutoGPTQ and GPTQModel, transformers,
// compressed-tensors, the OCP microscaling formats. Errors: throws glia::Error(model_unavailable) naming the method
// that is not supported or the tensor that is wrong.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tensor/view.h"

namespace glia::formats {

struct HfQuantisation {
  enum class Method { none, awq, gptq, f8, mxfp4 };
  Method method = Method::none;
  std::uint64_t group_size = 0;  ///< awq, gptq: columns under one scale; 0: all of them
  bool stored_less_one = false;  ///< gptq: zero points are stored less one (version 1)
  bool act_order = false;        ///< gptq: the configuration says that groups follow g_idx
  std::uint64_t block_rows = 0;  ///< f8 with a scale per block
  std::uint64_t block_cols = 0;
};

HfQuantisation read_quantisation(const json::object& config);

using Tensors = std::map<std::string, tensor::View, std::less<>>;

struct HfTensors {
  Tensors tensors;
  /// Found by name but not listed: biases of nothing but zeroes, which AutoGPTQ writes for layers that have none.
  std::set<std::string, std::less<>> unlisted;
};

/// `files`: what the files hold, by their names. The result's views borrow from it and its bytes alone.
HfTensors join_quantised(const HfQuantisation& quantisation, Tensors files);

// One method each: the view of a whole weight. Names are for messages.

/// [out, in] of qweight [in, out / 8] (awq) or [in / 8, out] (gptq), qzeros [groups, out / 8], scales [groups, out],
/// and g_idx [in] or null.
struct Int4Parts {
  std::string_view name;
  const tensor::View* qweight = nullptr;
  const tensor::View* qzeros = nullptr;
  const tensor::View* scales = nullptr;
  const tensor::View* g_idx = nullptr;
};
tensor::View int4_weight(const HfQuantisation& quantisation, const Int4Parts& parts);
tensor::View f8_weight(const HfQuantisation& quantisation, std::string_view name, const tensor::View& weight,
                       const tensor::View& scale);
/// [..., rows, cols] of blocks [..., rows, cols / 32, 16] and scales [..., rows, cols / 32].
tensor::View mxfp4_weight(std::string_view name, const tensor::View& blocks, const tensor::View& scales);

}  // namespace glia::formats
