// UTC days, counted from 1970-01-01.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace glia::ledger {

/// Whole days since 1970-01-01T00:00:00Z; the day turns at 00:00 UTC.
inline std::int64_t day_of(std::int64_t unix_ms) {
  return std::chrono::floor<std::chrono::days>(std::chrono::milliseconds(unix_ms)).count();
}

/// "2026-11-24".
inline std::string day_text(std::int64_t day) {
  const std::chrono::year_month_day ymd{std::chrono::sys_days{std::chrono::days{day}}};
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
                static_cast<unsigned>(ymd.day()));
  return text;
}

}  // namespace glia::ledger
