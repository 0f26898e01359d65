// Compares what came with what a case expects.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace glia::protocol {

/// Empty when `actual` is as expected; otherwise what differs and where.
std::string mismatch(const json::value& expected, const json::value& actual, const std::string& at = "");
std::string body_mismatch(std::string_view expected, std::string_view actual);
/// Plain text or one matcher.
std::string text_mismatch(std::string_view expected, std::string_view actual);

}  // namespace glia::protocol
