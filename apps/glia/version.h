// The version, from the file VERSION.
#pragma once

namespace glia::cli {

inline constexpr const char* kVersion = GLIA_VERSION;

}  // namespace glia::cli
