// Mixtral: llama with a mixture of experts for a feed-forward. Hugging Face MixtralForCausalLM; in GGUF it is
// architecture "llama" with an expert_count.
// Source: Jiang et al. 2024; transformers' modeling_mixtral.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::mixtral {

decoder::Description describe(const formats::HfFolder& folder);

}  // namespace glia::models::mixtral
