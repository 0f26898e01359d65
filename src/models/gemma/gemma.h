// Gemma 1, 2 and 3 (its text side). All: embeddings scaled by sqrt(hidden), norms that multiply by 1 + weight, a gate
// of tanh-approximated GELU, tied head. Gemma 2: norms behind attention and feed-forward too, softcaps on scores and
// logits, a window in every other layer. Gemma 3: norms on queries and keys instead of the caps, windows in five layers
// of six, which turn by a rotary table of their own. GGUF architectures "gemma", "gemma2", "gemma3", whose norm weights
// have the 1 added already; Hugging Face GemmaForCausalLM, Gemma2ForCausalLM, Gemma3ForCausalLM and the text side of
// Gemma3ForConditionalGeneration. Source: transformers' modeling_gemma, modeling_gemma2 and modeling_gemma3;
// llama.cpp's converter and its gemma models, for what the format leaves to the program: patterns of windows, local
// theta, the scale of the 27B models. Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/decoder/description.h"

namespace glia::models::gemma {

decoder::Description describe_gemma(const formats::GgufFile& file);
decoder::Description describe_gemma2(const formats::GgufFile& file);
decoder::Description describe_gemma3(const formats::GgufFile& file);
decoder::Description describe_gemma(const formats::HfFolder& folder);
decoder::Description describe_gemma2(const formats::HfFolder& folder);
decoder::Description describe_gemma3(const formats::HfFolder& folder);
decoder::Description describe_gemma3_with_vision(const formats::HfFolder& folder);
/// Of EmbeddingGemma: attention may look both ways, in sliding layers half of the window before and half behind.
decoder::Description describe_gemma3_encoder(const formats::HfFolder& folder);
decoder::Description describe_gemma3_encoder(const formats::GgufFile& file);

}  // namespace glia::models::gemma
