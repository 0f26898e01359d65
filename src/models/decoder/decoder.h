// The computation that every decoder-only family shares:
//   h = embed(tokens);  for each layer: h += attention(norm(h)), h += feed_forward(norm(h));  logits = head(norm(h))
// Ownership: the model owns its weights, the device must outlive it; the file may be closed after load().
// Errors: glia::Error(model_unavailable) naming the tensor. Thread rule: one forward at a time.
#pragma once

#include <memory>

#include "formats/weight_source.h"
#include "kernels/device.h"
#include "models/decoder/description.h"
#include "models/language_model.h"

namespace glia::models::decoder {

std::unique_ptr<LanguageModel> load(const Description& description, const formats::WeightSource& source,
                                    kernels::Device& device);
/// As models::estimate_memory.
MemoryEstimate estimate(const Description& description, const formats::WeightSource& source, kernels::MathMode math,
                        kernels::KvType kv);

}  // namespace glia::models::decoder
