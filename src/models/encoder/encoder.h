// What is the same for every encoder: a trunk's states, pooled and taken through a folder's dense layers, or through a
// classifier.
// Ownership: the model owns its weights, the device must outlive it; the files may be closed after load().
// Errors: glia::Error(model_unavailable) naming the tensor. Thread rule: one forward at a time.
#pragma once

#include <memory>

#include "formats/weight_source.h"
#include "kernels/device.h"
#include "models/encoder/description.h"
#include "models/encoder/modules.h"
#include "models/encoder_model.h"

namespace glia::models::encoder {

std::unique_ptr<EncoderModel> load(const Description& description, const Modules& modules,
                                   const formats::WeightSource& source, kernels::Device& device);
/// Makes every check of load(), packs nothing.
MemoryEstimate estimate(const Description& description, const Modules& modules, const formats::WeightSource& source,
                        kernels::FloatWeights floats = kernels::FloatWeights::kept);

}  // namespace glia::models::encoder
