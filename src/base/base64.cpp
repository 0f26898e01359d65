#include "base/base64.h"

#include <cstddef>
#include <cstdint>

namespace glia {

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::string_view group = bytes.substr(i, 3);
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 3; k++) {
      value = value << 8 | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    }
    for (std::size_t digit = 0; digit < 4; digit++) {
      out += digit <= group.size() ? kDigits[value >> (18 - digit * 6) & 63] : '=';
    }
  }
  return out;
}

}  // namespace glia
