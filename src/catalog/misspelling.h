// How far a typed id is from a real one: a weighted Levenshtein distance. People leave letters out (the whole ending of
// an id, often) more than they add or change them, so a missing letter costs 1 and a wrong or superfluous one 3.
#pragma once

#include <cstddef>
#include <string_view>

namespace glia::catalog {

std::size_t misspelling_cost(std::string_view typed, std::string_view meant);

}  // namespace glia::catalog
