// Bounds and cross-checks shared by every reader of a configuration.
// Errors: glia::Error(model_unavailable) naming the field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/decoder/config.h"

namespace glia::models::decoder {

// Far above any published model; every product of three of them fits in 63 bits.
inline constexpr std::uint64_t kMostVocab = 1U << 22;
inline constexpr std::uint64_t kMostWidth = 1U << 18;  // hidden, ff, heads * head_dim
inline constexpr std::uint64_t kMostLayers = 1U << 12;
inline constexpr std::uint64_t kMostHeads = 1U << 12;
inline constexpr std::uint64_t kMostHeadDim = 1U << 10;
inline constexpr std::uint64_t kMostExperts = 1U << 12;
inline constexpr std::uint64_t kMostContext = 1U << 30;

[[noreturn]] void refuse(const std::string& what);
/// `value`, which `field` holds, as a dimension: 1 to `most`.
std::int32_t dimension(std::uint64_t value, std::uint64_t most, std::string_view field);
/// Errors: unless `value` is finite, at least `least` and at most `most`.
double number_within(double value, double least, double most, std::string_view field);
/// What must hold between the fields, whatever file they came from.
void check_config(const Config& config);

}  // namespace glia::models::decoder
