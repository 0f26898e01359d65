// Levenshtein distance between two short byte strings: insertions, deletions and replacements, each 1.
#pragma once

#include <cstddef>
#include <string_view>

namespace glia::catalog {

std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace glia::catalog
