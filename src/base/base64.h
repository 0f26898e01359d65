// Base64 with padding, RFC 4648's first alphabet.
#pragma once

#include <string>
#include <string_view>

namespace glia {

std::string base64(std::string_view bytes);

}  // namespace glia
