#include "base/file_name.h"

#include <algorithm>
#include <array>

namespace glia {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_separator(char c) { return c == '-' || c == '.' || c == '_' || c == '/'; }
bool is_upper_or_digit(char c) { return is_digit(c) || (c >= 'A' && c <= 'Z'); }

/// "Q4", "IQ2": what may be followed by parts of any name, as in "Q4_K_M".
bool is_family(std::string_view part) {
  if (part.starts_with('I')) part.remove_prefix(1);
  return part.size() > 1 && part[0] == 'Q' && std::all_of(part.begin() + 1, part.end(), is_digit);
}

bool is_whole_name(std::string_view text) {
  constexpr std::array<std::string_view, 8> kNames = {"BF16", "F16",   "FP16",  "F32",
                                                      "FP32", "TQ0_0", "MXFP4", "MXFP4_MOE"};
  return std::any_of(kNames.begin(), kNames.end(), [text](std::string_view name) { return reads_as(text, name); });
}

}  // namespace

std::string ascii_upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 32) : c; });
  return out;
}

bool reads_as(std::string_view text, std::string_view pattern) {
  return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(),
                    [](char c, char p) { return p == '0' ? is_digit(c) : c == p; });
}

// Part by part from the end, as long as '_' joins them and none is empty; the longest of what fits.
std::size_t quantisation_start(std::string_view stem) {
  const std::string upper = ascii_upper(stem);
  const std::string_view text = upper;
  std::size_t start = std::string_view::npos;
  for (std::size_t end = text.size();;) {
    std::size_t begin = end;
    while (begin > 0 && is_upper_or_digit(text[begin - 1])) --begin;
    if (begin == end || (begin > 0 && !is_separator(text[begin - 1]))) break;
    if (is_family(text.substr(begin, end - begin)) || is_whole_name(text.substr(begin))) start = begin;
    if (begin == 0 || text[begin - 1] != '_') break;
    end = begin - 1;
  }
  constexpr std::string_view kPrefix = "UD-";
  if (start == std::string_view::npos || !text.substr(0, start).ends_with(kPrefix)) return start;
  const std::size_t with_prefix = start - kPrefix.size();
  return with_prefix == 0 || is_separator(text[with_prefix - 1]) ? with_prefix : start;
}

std::vector<std::string> part_names(const std::string& name) {
  constexpr std::string_view kPart = "-00000-of-00000.gguf";
  constexpr std::size_t kNumber = 1, kCount = 10, kDigits = 5;
  constexpr int kMost = 4096;
  if (name.size() < kPart.size()) return {name};
  const std::size_t at = name.size() - kPart.size();
  if (!reads_as(std::string_view(name).substr(at), kPart)) return {name};
  const int count = std::stoi(name.substr(at + kCount, kDigits));
  if (count < 1 || count > kMost) return {name};
  std::vector<std::string> names;
  for (int part = 1; part <= count; part++) {
    const std::string number = std::to_string(part);
    names.push_back(name);
    names.back().replace(at + kNumber, kDigits, std::string(kDigits - number.size(), '0') + number);
  }
  return names;
}

}  // namespace glia
