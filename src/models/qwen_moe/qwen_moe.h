// Qwen's mixtures of experts. Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B-A14B): biases on queries, keys and values, a shared
// expert behind a gate of its own. Qwen3-MoE (Qwen3-30B-A3B and larger): norms on every query's and key's head, no
// shared expert. Some layers may be dense. GGUF architectures "qwen2moe" and "qwen3moe", Hugging Face
// Qwen2MoeForCausalLM and Qwen3MoeForCausalLM. Source: transformers' modeling_qwen2_moe and modeling_qwen3_moe. Errors:
// glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::qwen_moe {

decoder::Description describe_qwen2(const formats::GgufFile& file);
decoder::Description describe_qwen3(const formats::GgufFile& file);
decoder::Description describe_qwen2(const formats::HfFolder& folder);
decoder::Description describe_qwen3(const formats::HfFolder& folder);

}  // namespace glia::models::qwen_moe
