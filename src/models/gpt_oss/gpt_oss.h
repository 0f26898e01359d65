// gpt-oss: a mixture of experts with a clamped gate, biases everywhere, a learned sink per head in attention, a window
// in every other layer and YaRN positions. Its experts are published in MXFP4. GGUF architecture "gpt-oss", Hugging
// Face GptOssForCausalLM. Source: OpenAI 2025 (model card); transformers' modeling_gpt_oss; llama.cpp's converter.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::gpt_oss {

decoder::Description describe(const formats::GgufFile& file);
decoder::Description describe(const formats::HfFolder& folder);

}  // namespace glia::models::gpt_oss
