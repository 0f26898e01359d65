// JSON of model files (config.json, a safetensors header, a shard index): no name twice in one object.
// Errors: throws glia::Error(model_unavailable) whose detail starts with `what`. Thread rule: pure function.
#pragma once

#include <string_view>

#include "base/json.h"

namespace glia::formats {

json::value parse_json_file(std::string_view text, std::string_view what);
/// Errors: also for anything but an object.
json::object parse_json_object(std::string_view text, std::string_view what);

}  // namespace glia::formats
