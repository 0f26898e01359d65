// Falcon 7B's shape: layer norms, attention and an ungated feed-forward side by side on one norm, one key-value head
// for all queries, no biases. GGUF architecture "falcon", Hugging Face FalconForCausalLM; the larger Falcons' other
// layout (new_decoder_architecture) is refused. Source: transformers' modeling_falcon; llama.cpp's converter. Errors:
// glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::falcon {

decoder::Description describe(const formats::GgufFile& file);
decoder::Description describe(const formats::HfFolder& folder);

}  // namespace glia::models::falcon
