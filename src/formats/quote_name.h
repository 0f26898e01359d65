// A name from a file, fit for an error text: printable ASCII, in quotes, cut at 80 characters.
// Thread rule: pure function.
#pragma once

#include <string>
#include <string_view>

namespace glia::formats {

inline std::string quote_name(std::string_view name) {
  constexpr std::size_t kMost = 80;
  std::string out = "\"";
  for (const char c : name.substr(0, kMost)) out += c >= 0x20 && c < 0x7F && c != '"' ? c : '?';
  if (name.size() > kMost) out += "...";
  return out + "\"";
}

}  // namespace glia::formats
