// JSON as short as JavaScript writes it: 1 and 0.5, not 1E0 and 5E-1. What the service's limits on bytes count.
#pragma once

#include <string>

#include "base/json.h"

namespace glia::vectorize {

/// Appends `value`.
void write_compact(std::string& out, const json::value& value);
std::string compact_json(const json::value& value);

/// The shortest text that reads back as the same number; of one that is not finite: null.
void write_number(std::string& out, double value);
/// Of a float32 that is to be read as a float32.
void write_short_number(std::string& out, float value);
/// A JSON string with its quotes.
void write_text(std::string& out, std::string_view text);

}  // namespace glia::vectorize
