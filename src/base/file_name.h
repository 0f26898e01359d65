// What the names of weights files say. They come from outside and may have any length: the time is linear in it and the
// stack does not grow with it (std::regex is neither).
// Thread rule: functions of their arguments. Errors: none. Source: llama.cpp's names of quantisations; "UD-" is
// Unsloth's prefix.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace glia {

/// The letters a to z, whatever the locale.
std::string ascii_upper(std::string_view text);

/// The same text, where a '0' of the pattern is any digit.
bool reads_as(std::string_view text, std::string_view pattern);

/// Where the quantisation begins that `stem` (a file's name without its ending) ends in, "Q4_K_M" or "UD-IQ2_XXS" or
/// "fp16"; npos where it ends in none. Before it stands '-', '.', '_' or '/', or nothing.
std::size_t quantisation_start(std::string_view stem);

/// The names of all parts of the file whose first or any other part is "NAME-00002-of-00003.gguf", in order; of any
/// other name, and of one that claims more than 4,096 parts, itself. Source: llama.cpp's gguf-split.
std::vector<std::string> part_names(const std::string& name);

}  // namespace glia
