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

/// A Hugging Face folder in one piece: u32 length of config.json, config.json, then one safetensors file.
std::vector<std::byte> folder_bytes(std::string_view config, std::span<const std::byte> safetensors);
/// Such a folder of a few KB with one layer quantised by `method`: "awq", "gptq", "act_order", "fp8" or "mxfp4".
std::vector<std::byte> small_quantised(std::string_view method);
/// Opens such bytes as HfFolder does and reads every row. Returns the sum of the bytes. Errors: glia::Error.
std::size_t touch_folder(std::span<const std::byte> bytes);

/// Reads every byte of every tensor (a sanitizer sees a view that leaves its file). Returns the sum of the bytes.
std::size_t touch_all(const WeightSource& source);

}  // namespace glia::formats
