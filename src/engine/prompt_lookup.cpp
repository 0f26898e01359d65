#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace glia::engine {
namespace {

// What is believed before anything is known, and how many guesses it takes to shake that.
constexpr std::array kFirstChance = {0.35, 0.5, 0.65, 0.8, 0.9};
constexpr double kFirstWeight = 2;
constexpr double kForget = 0.9;  // of one guess to the next
constexpr double kHope =
    0.005;  // what was learned fades so much while a guess could be made, so that it is tried again

}  // namespace

PromptLookup::PromptLookup(std::size_t most_tokens) {
  newest_.assign(std::bit_ceil(std::max<std::size_t>(most_tokens, 16)), -1);
  earlier_.reserve(most_tokens);
  for (std::size_t i = 0; i < kClasses; ++i) records_[i] = {kFirstChance[i] * kFirstWeight, kFirstWeight};
}

std::size_t PromptLookup::class_of(std::size_t agreed) {
  return agreed <= 2 ? 0 : agreed == 3 ? 1 : agreed <= 5 ? 2 : agreed <= 9 ? 3 : 4;
}

std::size_t PromptLookup::bucket(std::int32_t first, std::int32_t second) const {
  std::uint64_t key = (std::uint64_t{static_cast<std::uint32_t>(first)} << 32U) | static_cast<std::uint32_t>(second);
  key *= 0x9E3779B97F4A7C15U;
  return static_cast<std::size_t>(key >> 32U) & (newest_.size() - 1);
}

// The pair that ends at the last token is found from its earlier places, so it enters with the token after it.
void PromptLookup::take_in(std::span<const std::int32_t> tokens) {
  if (earlier_.empty()) earlier_.push_back(-1);
  while (earlier_.size() + 1 < tokens.size()) {
    const std::size_t at = earlier_.size();
    std::int32_t& newest = newest_[bucket(tokens[at - 1], tokens[at])];
    earlier_.push_back(newest);
    newest = static_cast<std::int32_t>(at);
  }
}

PromptLookup::Guess PromptLookup::guess(std::span<const std::int32_t> tokens, std::span<std::int32_t> out) {
  if (tokens.size() <= kLeast || out.empty()) return {};
  take_in(tokens);
  const std::size_t last = tokens.size() - 1;
  Guess best;
  std::size_t from = 0;
  std::int32_t place = newest_[bucket(tokens[last - 1], tokens[last])];
  for (std::size_t looked = 0; place >= 0 && looked < kMostPlaces; ++looked) {
    const auto at = static_cast<std::size_t>(place);
    std::size_t agreed = 0;
    while (agreed <= at && agreed < kMostAgreed && tokens[at - agreed] == tokens[last - agreed]) ++agreed;
    if (agreed >= kLeast && agreed > best.agreed) {
      best.agreed = agreed;
      from = at + 1;
      if (agreed == kMostAgreed) break;
    }
    place = earlier_[at];
  }
  if (best.agreed == 0) return {};
  const std::size_t c = class_of(best.agreed);
  records_[c].right += kHope * (kFirstChance[c] * records_[c].tried - records_[c].right);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t source = from + i;
    out[i] = source <= last ? tokens[source] : out[source - last - 1];
  }
  best.count = out.size();
  return best;
}

double PromptLookup::chance(std::size_t agreed, std::size_t ahead) const {
  const Record& r = records_[class_of(agreed + ahead)];
  return r.right / r.tried;
}

void PromptLookup::learn(std::size_t agreed, std::size_t tried, std::size_t right) {
  for (std::size_t i = 0; i < std::min(right + 1, tried); ++i) {
    Record& r = records_[class_of(agreed + i)];
    r.right = r.right * kForget + (i < right ? 1 : 0);
    r.tried = r.tried * kForget + 1;
  }
}

}  // namespace glia::engine
