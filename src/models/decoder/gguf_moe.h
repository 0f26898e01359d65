// The keys "<architecture>.expert_*" of a GGUF.
// Errors: glia::Error(model_unavailable) naming the key. Thread rule: pure functions.
#pragma once

#include "models/decoder/description.h"
#include "models/decoder/gguf_fields.h"

namespace glia::models::decoder {

/// Makes every layer's feed-forward one of experts where expert_count is above zero. `normalise`: whether the weights
/// of the chosen sum to one in this architecture, where the file does not say it.
void read_experts(const GgufFields& fields, bool normalise, Description& description);

}  // namespace glia::models::decoder
