// What a llama-family file says about itself, checked: every number within bounds before it is multiplied.
// Sources: the GGUF specification's `llama.*` keys; transformers' LlamaConfig.
// Errors: glia::Error(model_unavailable) naming the field that is missing, out of range or not supported. A field that
// would change the computation and is not known here is refused, never ignored.
// Thread rule: values.
#pragma once

#include <cstdint>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/device.h"
#include "models/blocks/rope_table.h"

namespace glia::models::llama {

struct Config {
  std::int32_t vocab = 0;
  std::int32_t hidden = 0;  ///< width of the residual stream
  std::int32_t layers = 0;
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;  ///< divides heads
  std::int32_t head_dim = 0;  ///< even
  std::int32_t ff = 0;
  std::int32_t context = 0;  ///< positions the weights were trained for
  float norm_eps = 0;
  bool tied = false;  ///< the head is the embedding table
  RopeParameters rope;
  kernels::RopeLayout rope_layout = kernels::RopeLayout::halves;
};

Config read_config(const formats::GgufFile& file);
Config read_config(const formats::HfFolder& folder);

}  // namespace glia::models::llama
