// Overflow-checked unsigned arithmetic for sizes that come from files and requests.
// Errors: each function returns false on overflow and leaves `out` alone.
#pragma once

#include <cstdint>

namespace glia {

[[nodiscard]] inline bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t& out) {
  std::uint64_t r;
  if (__builtin_add_overflow(a, b, &r)) return false;
  out = r;
  return true;
}

[[nodiscard]] inline bool checked_mul(std::uint64_t a, std::uint64_t b, std::uint64_t& out) {
  std::uint64_t r;
  if (__builtin_mul_overflow(a, b, &r)) return false;
  out = r;
  return true;
}

}  // namespace glia
