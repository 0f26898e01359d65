#include "base/utf8.h"

#include <algorithm>

namespace glia {
namespace {

/// Bytes of the character that starts with `lead`, 0 for a byte that cannot start one.
std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// Whether `next` may follow `lead` as the second byte.
bool valid_second(unsigned char lead, unsigned char next) {
  switch (lead) {
    case 0xE0:
      return next >= 0xA0 && next <= 0xBF;
    case 0xED:
      return next >= 0x80 && next <= 0x9F;
    case 0xF0:
      return next >= 0x90 && next <= 0xBF;
    case 0xF4:
      return next >= 0x80 && next <= 0x8F;
    default:
      return next >= 0x80 && next <= 0xBF;
  }
}

/// Length of the valid start of the character at text[0]: its whole length when valid, less when cut or broken.
std::size_t valid_bytes(std::string_view text, std::size_t length) {
  std::size_t n = 1;
  while (n < length && n < text.size()) {
    const auto c = static_cast<unsigned char>(text[n]);
    if (n == 1 ? !valid_second(static_cast<unsigned char>(text[0]), c) : (c & 0xC0) != 0x80) break;
    n++;
  }
  return n;
}

}  // namespace

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(static_cast<unsigned char>(text[i]));
    if (length == 0 || valid_bytes(text.substr(i), length) != length) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::size_t complete_utf8_prefix(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); back++) {
    const std::size_t start = text.size() - back;
    const auto c = static_cast<unsigned char>(text[start]);
    if ((c & 0xC0) == 0x80) continue;
    const std::size_t length = sequence_length(c);
    if (length > back && valid_bytes(text.substr(start), length) == back) return start;
    break;
  }
  return text.size();
}

}  // namespace glia
