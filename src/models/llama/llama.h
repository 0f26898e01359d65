// The llama family (Llama 1 to 3.x, SmolLM2 and others that share its computation): GGUF architecture "llama", Hugging
// Face LlamaForCausalLM.
//   h = embed(tokens);  for each layer: h += attention(h), h += gated_mlp(h);  logits = head(rms_norm(h))
// Source: Touvron et al. 2023; transformers' modeling_llama.
// Errors: glia::Error(model_unavailable) naming the field or tensor. Ownership: the model owns its weights, the device
// must outlive it; the file may be closed after load(). Thread rule: one forward at a time.
#pragma once

#include <memory>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "kernels/device.h"
#include "models/language_model.h"

namespace glia::models::llama {

std::unique_ptr<LanguageModel> load(const formats::GgufFile& file, kernels::Device& device);
std::unique_ptr<LanguageModel> load(const formats::HfFolder& folder, kernels::Device& device);

/// As models::estimate_memory.
MemoryEstimate estimate(const formats::GgufFile& file, kernels::MathMode math);
MemoryEstimate estimate(const formats::HfFolder& folder, kernels::MathMode math);

}  // namespace glia::models::llama
