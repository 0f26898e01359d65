#include "terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace glia::cli {

bool colour_on(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

std::string styled(int fd, Style style, std::string_view text) {
  if (!colour_on(fd)) return std::string(text);
  static constexpr std::array kCodes = {"1", "2", "32", "33", "31"};
  return "\033[" + std::string(kCodes[static_cast<std::size_t>(style)]) + "m" + std::string(text) + "\033[0m";
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Table::Table(std::vector<std::string> header, std::vector<std::size_t> right)
    : header_(std::move(header)), right_(std::move(right)) {}

void Table::add(std::vector<std::string> row) {
  row.resize(header_.size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(header_.size());
  for (std::size_t c = 0; c < header_.size(); c++) {
    widths[c] = columns(header_[c]);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], columns(row[c]));
  }
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out;
    for (std::size_t c = 0; c < row.size(); c++) {
      const std::string pad(widths[c] - columns(row[c]), ' ');
      const bool right = std::find(right_.begin(), right_.end(), c) != right_.end();
      if (c > 0) out += "  ";
      out += right ? pad + row[c] : row[c] + (c + 1 < row.size() ? pad : "");
    }
    return out;
  };
  std::string out = styled(STDOUT_FILENO, Style::dim, line(header_)) + "\n";
  for (const auto& row : rows_) out += line(row) + "\n";
  return out;
}

std::string fixed(double value, int decimals) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    unit++;
  }
  return fixed(value, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string human_count(std::int64_t n) {
  std::string digits = std::to_string(n);
  const std::size_t first = digits[0] == '-' ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

}  // namespace glia::cli
