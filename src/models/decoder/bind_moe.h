// Binds a layer's experts, whatever layout the file has them in.
// Errors: glia::Error(model_unavailable) naming the tensor. Thread rule: one thread.
#pragma once

#include <memory>

#include "models/blocks/feed_forward.h"
#include "models/blocks/weight_binder.h"
#include "models/decoder/config.h"
#include "models/decoder/names.h"

namespace glia::models::decoder {

/// The feed-forward of layer `index`; config.moe must be set. Every expert's matrices are packed once, stacked.
std::unique_ptr<FeedForward> bind_moe(const Config& config, const Names& names, std::int32_t index,
                                      WeightBinder& binder);

}  // namespace glia::models::decoder
