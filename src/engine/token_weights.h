// The weights of one step's tokens, narrowed by top_k, top_p and min_p and drawn from. Buffers for one vocabulary, used
// by one sampler after the other.
//
// Weights are w_i = exp((l_i - top) * inverse); equal ones rank by id, lowest first. Everything is linear in the
// vocabulary: what the set needs is measured in vector passes over blocks, then only that is gathered, and its border
// is found by radix selection. Nothing is sorted, nothing is allocated.
// Errors: none. Thread rule: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace glia::engine {

/// NaN is passed over; -infinity when there is nothing else.
float largest_logit(std::span<const float> logits);

class TokenWeights {
 public:
  explicit TokenWeights(std::int32_t vocab);
  std::size_t vocab() const { return weights_.size(); }

  /// A new step. `top`: the largest logit, finite. Logits that are NaN or -infinity weigh nothing.
  void weigh(std::span<const float> logits, float top, float inverse);
  /// The k largest weights; weights of 0 are not counted.
  void keep_top_k(std::size_t k);
  /// The smallest set of largest weights whose sum reaches `share` of what is left, at least one.
  void keep_top_p(double share);
  /// Weights of at least `least`, which is at most 1: the largest weight.
  void keep_at_least(float least);
  /// The first id, ascending, whose running sum passes u times the sum of what is left. u: [0, 1)
  std::int32_t draw(double u) const;

 private:
  struct Bin {
    double mass = 0;
    std::size_t count = 0;
  };
  struct Share {
    std::size_t count = 0;
    double mass = 0;
  };
  /// The weight at which the largest ones suffice, and what lies above it.
  struct Cut {
    float weight = 0;
    Share above;
  };

  static void measure(std::span<const float> weights, float least, Share& share);
  template <typename Visit>
  void for_blocks(float least, Visit visit) const;
  template <typename Enough>
  float threshold(Enough enough) const;
  void gather(float least);
  Cut find_cut(std::size_t count, double mass);
  void keep_largest(std::size_t count, double mass);
  std::int32_t draw_from_all(double u) const;

  std::vector<float> weights_;      // [vocab]
  std::vector<double> block_mass_;  // [blocks], sums of weights_
  std::vector<float> block_max_;    // [blocks]
  double mass_ = 0;                 // of what is left
  bool gathered_ = false;           // what is left are the candidates below, else all
  std::size_t candidates_ = 0;
  std::vector<std::int32_t> ids_;  // of the candidates, ascending
  std::vector<float> kept_;        // their weights
  std::vector<float> inside_;      // of these, what the selection still looks at
  std::vector<Bin> bins_;          // its histogram
};

}  // namespace glia::engine
