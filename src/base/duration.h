// How long, as people write it: "30m", "90s", "1h30m", "500ms", "0"; a bare number is seconds.
// Errors: none is thrown; what is not a duration is nothing. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace glia {

/// Milliseconds; none for anything else, negative numbers among it, and for more than 100 years.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);

/// The two largest units that say something: "1 h 30 min", "2 min", "5 s", "250 ms".
std::string duration_text(std::int64_t ms);

}  // namespace glia
