// BERT and its kin: BERT, RoBERTa and XLM-RoBERTa, DistilBERT.
//   x = norm(word[token] + type[segment] + position[place])
//   per layer:  x = norm(x + W_o attention(W_q x, W_k x, W_v x)),  x = norm(x + W_down gelu(W_up x))
// Source: Devlin et al. 2018, Liu et al. 2019, Conneau et al. 2019, Sanh et al. 2019; transformers' modeling_bert,
// modeling_xlm_roberta and modeling_distilbert.
// Errors: glia::Error(model_unavailable) naming the field or tensor. Thread rule: pure functions; a trunk's own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "formats/safetensors.h"
#include "models/blocks/weight_binder.h"
#include "models/encoder/description.h"

namespace glia::models::bert {

struct Config {
  std::int32_t vocab = 0;
  std::int32_t positions = 0;  ///< rows of the position table
  std::int32_t types = 0;      ///< rows of the type table; 0: there is none
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::int32_t heads = 0;
  std::int32_t ff = 0;
  kernels::Gate activation = kernels::Gate::gelu;
  float norm_eps = 1e-12F;
  /// RoBERTa: places count from padding + 1, and padding tokens stay at `padding`; -1: from 0, and none are special.
  std::int32_t padding = -1;
};

/// Stems before ".weight" and ".bias".
struct Names {
  std::string_view prefix;  ///< of a model with a head; a bare one has none
  std::string_view words, types, positions, norm;
  std::string_view layer_prefix;  ///< before the layer's number; the rest come after it
  std::string_view q, k, v, out, attention_norm, up, down, output_norm;
};

encoder::Description describe_bert(const formats::HfFolder& folder);
encoder::Description describe_roberta(const formats::HfFolder& folder);
encoder::Description describe_xlm_roberta(const formats::HfFolder& folder);
encoder::Description describe_distilbert(const formats::HfFolder& folder);

}  // namespace glia::models::bert
