// The llama family (Llama 1 to 3.x, SmolLM2 and others that share its computation): GGUF architecture "llama", Hugging
// Face LlamaForCausalLM. Gated SiLU feed-forward, RMS norms, every dimension of a head rotated.
// Source: Touvron et al. 2023; transformers' modeling_llama; the GGUF specification's `llama.*` keys.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::llama {

decoder::Description describe(const formats::GgufFile& file);
decoder::Description describe(const formats::HfFolder& folder);

}  // namespace glia::models::llama
