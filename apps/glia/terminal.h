// How glia looks in a terminal: colour where there is one, tables, numbers a person can read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace glia::cli {

/// Whether the stream is a terminal that wants colour (NO_COLOR, TERM=dumb).
bool colour_on(int fd);

enum class Style { bold, dim, green, yellow, red };
/// `text` in the style, or as it is where `fd` wants no colour.
std::string styled(int fd, Style style, std::string_view text);

/// Columns needed to show UTF-8 text (one per code point; what glia prints has no wide characters).
std::size_t columns(std::string_view text);

/// Rows under a header, columns as wide as their widest cell. Right-aligned columns are named by `right`.
class Table {
 public:
  explicit Table(std::vector<std::string> header, std::vector<std::size_t> right = {});
  void add(std::vector<std::string> row);
  /// For standard output.
  std::string text() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<std::string> header_;
  std::vector<std::size_t> right_;
  std::vector<std::vector<std::string>> rows_;
};

std::string human_bytes(std::uint64_t bytes);  ///< "93.8 MiB"
std::string human_count(std::int64_t n);       ///< "1,234,567"
std::string fixed(double value, int decimals);

}  // namespace glia::cli
