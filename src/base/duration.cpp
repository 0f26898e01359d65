#include "base/duration.h"

#include <array>
#include <charconv>

namespace glia {
namespace {

struct Unit {
  std::string_view suffix;
  std::string_view words;
  std::int64_t ms;
};
constexpr std::array<Unit, 5> kUnits = {{
    {"ms", "ms", 1},
    {"s", "s", 1000},
    {"m", "min", 60'000},
    {"h", "h", 3'600'000},
    {"d", "d", 86'400'000},
}};
constexpr std::int64_t kMost = std::int64_t{100} * 366 * 86'400'000;

}  // namespace

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t sum = 0;
  std::int64_t below = kMost;  // units go down: "1h30m", not "30m1h"
  for (bool first = true; !text.empty(); first = false) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t letters = 0;
    while (letters < text.size() && (text[letters] < '0' || text[letters] > '9')) ++letters;
    const std::string_view suffix = text.substr(0, letters);
    text.remove_prefix(letters);
    std::int64_t unit = 0;
    if (suffix.empty() && first) unit = 1000;
    for (const Unit& u : kUnits) {
      if (suffix == u.suffix) unit = u.ms;
    }
    if (unit == 0 || unit >= below || number > kMost / unit) return std::nullopt;
    below = unit;
    sum += number * unit;
  }
  return sum <= kMost ? std::optional(sum) : std::nullopt;
}

std::string duration_text(std::int64_t ms) {
  if (ms < 0) ms = 0;
  for (std::size_t i = kUnits.size(); i-- > 1;) {
    const Unit& unit = kUnits[i];
    if (ms < unit.ms) continue;
    std::string text = std::to_string(ms / unit.ms) + " " + std::string(unit.words);
    const Unit& next = kUnits[i - 1];
    const std::int64_t rest = ms % unit.ms / next.ms;
    if (rest > 0 && i > 1) text += " " + std::to_string(rest) + " " + std::string(next.words);
    return text;
  }
  return std::to_string(ms) + " ms";
}

}  // namespace glia
