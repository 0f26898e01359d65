// Finds stop strings in a stream of text and keeps back what may still become one.
//
// The answer ends before the stop string that is completed first; of several completed at the same byte, before the
// longest. That does not depend on where the pieces are cut. Knuth-Morris-Pratt per stop string: one step per byte.
// Stop strings and pieces are valid UTF-8, so whatever is given out ends between characters.
// Errors: none. Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace glia::engine {

class StopMatcher {
 public:
  /// None of `stops` may be empty.
  explicit StopMatcher(std::span<const std::string> stops);

  /// Appends to `out` what became certain. True when a stop string is complete: the rest of the stream is not wanted.
  bool push(std::string_view piece, std::string& out);
  /// The stream is over: appends what was kept back.
  void finish(std::string& out);

 private:
  struct Pattern {
    std::string text;
    std::vector<std::size_t> border;  // longest proper prefix of text[0, i] that is also its suffix
    std::size_t matched = 0;
  };

  std::vector<Pattern> patterns_;
  std::string held_;
};

}  // namespace glia::engine
