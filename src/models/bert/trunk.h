// The computation of bert.h.
#pragma once

#include <memory>
#include <string>

#include "models/bert/bert.h"
#include "models/blocks/norm.h"
#include "models/blocks/weight_binder.h"
#include "models/encoder/trunk.h"

namespace glia::models::bert {

/// `prefix`: before every name, names.prefix or nothing. Null where the binder only checks.
std::unique_ptr<encoder::Trunk> bind_trunk(const Config& config, const Names& names, const std::string& prefix,
                                           WeightBinder& binder, kernels::Device* device);
/// At most: activations of one row in the arena, and the device's copies of them.
std::size_t row_bytes(const Config& config);

}  // namespace glia::models::bert
