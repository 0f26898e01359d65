// What a step of so many rows takes, learned from those that ran: the least that steering prompts and guesses needs.
//
// Straight lines between knots at powers of two. A step moves the two knots around its rows towards what it took;
// a single slow one (somebody else had the processor) moves them little. Until a knot saw a step it follows a shape
// that the first steps scale.
// Thread rule: one thread at a time. Errors: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace glia::engine {

class StepCost {
 public:
  void learn(std::int32_t rows, double ms);
  /// Milliseconds; 0 before anything ran. Never falls as rows grow.
  double of(std::int32_t rows) const;
  /// The most rows, of at most `most`, whose step takes no longer than `ms`; at least `least`.
  std::int32_t rows_within(double ms, std::int32_t least, std::int32_t most) const;

 private:
  static constexpr std::size_t kKnots = 14;  // 1, 2, 4 … 8192 rows
  struct Place {
    std::size_t knot = 0;  // the lower one
    double share = 0;      // of the upper one
  };
  static Place place_of(std::int32_t rows);

  std::array<double, kKnots> ms_{};
  bool known_ = false;
};

}  // namespace glia::engine
