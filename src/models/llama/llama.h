// Llama 1 to 3.x, SmolLM2 and others that share its computation: GGUF architecture "llama", Hugging Face
// LlamaForCausalLM. Gated SiLU feed-forward, RMS norms, every dimension of a head rotated, biases where the file asks.
// Mistral is the same with a window: GGUF files of it call themselves "llama" (older) or "mistral3"; Hugging Face
// MistralForCausalLM, and the text side of Mistral3ForConditionalGeneration.
// Source: Touvron et al. 2023, Jiang et al. 2023; transformers' modeling_llama, modeling_mistral and modeling_mistral3;
// llama.cpp's converter, which permutes the rows of q and k so that pairs of a head lie side by side.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::llama {

decoder::Description describe(const formats::GgufFile& file);
decoder::Description describe(const formats::HfFolder& folder);
decoder::Description describe_mistral(const formats::HfFolder& folder);
decoder::Description describe_mistral3(const formats::HfFolder& folder);

}  // namespace glia::models::llama
