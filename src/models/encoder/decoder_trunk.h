// The layers of a decoder as an encoder's trunk, for models that were trained on from one: whole texts in, the normed
// states behind the last layer out. No cache, no head.
// Source: transformers' Qwen3Model and Gemma3TextModel (use_bidirectional_attention).
// Errors: glia::Error(model_unavailable) naming the tensor. Thread rule: pure functions; a trunk's own.
#pragma once

#include "formats/weight_source.h"
#include "models/decoder/description.h"
#include "models/encoder/description.h"

namespace glia::models::encoder {

/// Of a family whose attention has no softcap and no sinks. A folder's tensors may lack the "model." before their
/// names, as those of a class without a head do.
Description of_decoder(decoder::Description decoder, const formats::WeightSource& source);

}  // namespace glia::models::encoder
