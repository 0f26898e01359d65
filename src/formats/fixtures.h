// Small good files for this room's tests, for others' tests and for the fuzzers' seeds.
// Ownership: values. Thread rule: pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "formats/weight_source.h"

namespace glia::formats {

/// A GGUF of a few KB with every metadata type, arrays of every type, and one tensor of every type that is read.
std::vector<std::byte> small_gguf();
/// A safetensors file with a tensor of every type that is read, a scalar and __metadata__.
std::vector<std::byte> small_safetensors();
/// A safetensors file from a JSON header as it stands and the data section.
std::vector<std::byte> safetensors_bytes(std::string_view header, std::span<const std::byte> data);

/// Reads every byte of every tensor (a sanitizer sees a view that leaves its file). Returns the sum of the bytes.
std::size_t touch_all(const WeightSource& source);

}  // namespace glia::formats
