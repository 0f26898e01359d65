#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace glia::engine {

StopMatcher::StopMatcher(std::span<const std::string> stops) {
  for (const std::string& stop : stops) {
    Pattern p{stop, std::vector<std::size_t>(stop.size(), 0), 0};
    for (std::size_t i = 1; i < stop.size(); ++i) {
      std::size_t k = p.border[i - 1];
      while (k > 0 && stop[k] != stop[i]) k = p.border[k - 1];
      p.border[i] = stop[k] == stop[i] ? k + 1 : 0;
    }
    patterns_.push_back(std::move(p));
  }
}

bool StopMatcher::push(std::string_view piece, std::string& out) {
  if (patterns_.empty()) {
    out += piece;
    return false;
  }
  std::size_t keep = 0;
  for (const char byte : piece) {
    held_ += byte;
    keep = 0;
    std::size_t complete = 0;
    for (Pattern& p : patterns_) {
      while (p.matched > 0 && p.text[p.matched] != byte) p.matched = p.border[p.matched - 1];
      if (p.text[p.matched] == byte) ++p.matched;
      if (p.matched == p.text.size()) {
        complete = std::max(complete, p.matched);
        p.matched = p.border[p.matched - 1];
      }
      keep = std::max(keep, p.matched);
    }
    if (complete > 0) {
      out.append(held_, 0, held_.size() - complete);
      held_.clear();
      return true;
    }
  }
  if (piece.empty()) return false;
  out.append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return false;
}

void StopMatcher::finish(std::string& out) {
  out += held_;
  held_.clear();
}

}  // namespace glia::engine
