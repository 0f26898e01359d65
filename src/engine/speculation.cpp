#include "engine/speculation.h"

#include <algorithm>

namespace glia::engine {
namespace {

bool pays(double chance, double tokens, std::int32_t rows, const StepCost& cost) {
  const double now = cost.of(rows);
  return chance * now > tokens * (cost.of(rows + 1) - now);
}

}  // namespace

bool may_pay(std::int32_t decodes, const StepCost& cost) { return pays(0.99, decodes, decodes, cost); }

void choose_drafts(std::span<Candidate> candidates, std::int32_t decodes, std::int32_t rows, const StepCost& cost) {
  for (Candidate& c : candidates) {
    c.taken = 0;
    c.next_chance = c.guess.count > 0 ? c.lookup->chance(c.guess.agreed, 0) : 0;
  }
  double tokens = decodes;
  for (std::int32_t taken = 0; taken < rows; ++taken) {
    const auto best =
        std::max_element(candidates.begin(), candidates.end(),
                         [](const Candidate& a, const Candidate& b) { return a.next_chance < b.next_chance; });
    if (best == candidates.end() || !pays(best->next_chance, tokens, decodes + taken, cost)) return;
    tokens += best->next_chance;
    ++best->taken;
    const auto ahead = static_cast<std::size_t>(best->taken);
    best->next_chance =
        ahead < best->guess.count ? best->next_chance * best->lookup->chance(best->guess.agreed, ahead) : 0;
  }
}

}  // namespace glia::engine
