// UTF-8 checks on borrowed bytes (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
#pragma once

#include <cstddef>
#include <string_view>

namespace glia {

/// Byte offset of the first byte that is not part of valid UTF-8; npos when all is valid.
std::size_t first_invalid_utf8(std::string_view text);

/// Length of the longest prefix that does not end inside a character. Bytes that can never become valid count as whole.
std::size_t complete_utf8_prefix(std::string_view text);

}  // namespace glia
