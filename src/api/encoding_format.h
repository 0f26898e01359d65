// Vectors, scores and labels as JSON. Floats have as few digits as read back the same float32.
#pragma once

#include <span>
#include <string>

#include "tasks/runner.h"

namespace glia::api {

/// Workers AI's shapes (native_format.h); `envelope`: Cloudflare's around them.
std::string native_encoding(const tasks::RunInfo& info, const tasks::EncodingResult& result, bool envelope);

/// "[0.5,-1]" at the end of `out`.
void append_floats(std::string& out, std::span<const float> values);

}  // namespace glia::api
