// Microsoft's Phi. Phi-3 and Phi-4 (mini too): llama with queries, keys and values in one tensor and gate and up in
// another; the long ones stretch the rotary table by a factor for every dimension (longrope), Phi-4-mini turns three
// quarters of a head. Phi-1, 1.5 and 2: layer norms, attention and an ungated feed-forward side by side on one norm,
// biases everywhere, a part of a head rotated.
// GGUF architectures "phi3" and "phi2", Hugging Face Phi3ForCausalLM and PhiForCausalLM.
// Source: transformers' modeling_phi3 and modeling_phi; llama.cpp's converter.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::phi {

decoder::Description describe_phi2(const formats::GgufFile& file);
decoder::Description describe_phi3(const formats::GgufFile& file);
decoder::Description describe_phi2(const formats::HfFolder& folder);
decoder::Description describe_phi3(const formats::HfFolder& folder);

}  // namespace glia::models::phi
