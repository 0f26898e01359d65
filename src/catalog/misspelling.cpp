#include "catalog/misspelling.h"

#include <algorithm>
#include <vector>

namespace glia::catalog {
namespace {

constexpr std::size_t kMissing = 1;
constexpr std::size_t kWrong = 3;

}  // namespace

std::size_t misspelling_cost(std::string_view typed, std::string_view meant) {
  std::vector<std::size_t> row(meant.size() + 1);  // row[j]: from the first i bytes typed to the first j meant
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j * kMissing;
  for (std::size_t i = 1; i <= typed.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i * kWrong;
    for (std::size_t j = 1; j <= meant.size(); ++j) {
      const std::size_t matched = diagonal + (typed[i - 1] == meant[j - 1] ? 0 : kWrong);
      diagonal = row[j];
      row[j] = std::min({row[j] + kWrong, row[j - 1] + kMissing, matched});
    }
  }
  return row[meant.size()];
}

}  // namespace glia::catalog
