// Qwen's dense families. Qwen2 (Qwen1.5, Qwen2, Qwen2.5, QwQ and the distillations on them): llama with biases on
// queries, keys and values. Qwen3: norms on every query's and key's head instead, and a head dimension of its own.
// GGUF architectures "qwen2" and "qwen3", Hugging Face Qwen2ForCausalLM and Qwen3ForCausalLM.
// Source: transformers' modeling_qwen2 and modeling_qwen3; llama.cpp's converter.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::qwen {

decoder::Description describe_qwen2(const formats::GgufFile& file);
decoder::Description describe_qwen3(const formats::GgufFile& file);
decoder::Description describe_qwen2(const formats::HfFolder& folder);
decoder::Description describe_qwen3(const formats::HfFolder& folder);

}  // namespace glia::models::qwen
