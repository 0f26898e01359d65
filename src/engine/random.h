// Counter-based random numbers: what comes out depends on (seed, counter) alone, so a generation draws the same numbers
// whatever else runs beside it, and any draw can be repeated out of order.
// Source: Philox4x32-10, J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// Thread rule: pure functions. Errors: none.
#pragma once

#include <array>
#include <cstdint>

namespace glia::engine {

using PhiloxBlock = std::array<std::uint32_t, 4>;

/// The ten-round bijection of `counter` under `key`.
constexpr PhiloxBlock philox4x32(PhiloxBlock counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32U) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32U) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

/// 64 random bits for draw number `counter` under `seed`.
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter) {
  const PhiloxBlock block =
      philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32U), 0, 0},
                 {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)});
  return (std::uint64_t{block[1]} << 32U) | block[0];
}

/// Uniform in [0, 1), 53 bits.
constexpr double random_unit(std::uint64_t seed, std::uint64_t counter) {
  return static_cast<double>(random_bits(seed, counter) >> 11U) * 0x1p-53;
}

}  // namespace glia::engine
