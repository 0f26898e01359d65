// How State finds what is nearest: by looking at every vector that can match, or along the graph.
//
// Looking at all of them compares int8 codes first and then, exactly, every one that int8 cannot rule out: the answer
// is that of float32. Along the graph the same is done with what the walk found. Which of the two is a matter of cost:
// bytes read by the one, and hops by the other, which grow as fewer of those that are met can match.
#include <algorithm>
#include <cmath>

#include "vectorize/state.h"

namespace glia::vectorize {
namespace {

constexpr std::size_t kRun = 256;  ///< slots whose products are computed at a time

/// The k-th lowest of what was offered, infinite before there are k.
class Lowest {
 public:
  explicit Lowest(std::size_t k) : k_(k) { heap_.reserve(k); }
  void offer(float value) {
    if (heap_.size() < k_) {
      heap_.push_back(value);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (value < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = value;
      std::push_heap(heap_.begin(), heap_.end());
    }
  }
  float bound() const { return heap_.size() < k_ ? INFINITY : heap_.front(); }

 private:
  std::size_t k_;
  std::vector<float> heap_;
};

bool nearer(const Near& a, const Near& b) {
  return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
}

/// Width of a walk that finds the k nearest of vectors like those of embedding models.
std::size_t width_for(std::size_t k) { return std::max<std::size_t>(96, 4 * k); }

/// What a walk costs, in vectors that could be looked at in a row meanwhile: a line through what was measured at widths
/// from 32 to 200 (bench/vectors_bench).
double walk_cost(double width, Slot size) { return 32 * width + 20 * std::log2(size + 2.0); }

}  // namespace

/// Leaves the k nearest by exact distances; before, the distances are by int8.
void State::keep_exact(const Prepared& p, std::size_t k, std::vector<Near>& candidates) const {
  std::sort(candidates.begin(), candidates.end(), nearer);
  Lowest lowest(k);
  std::vector<Near> exact;
  for (const Near& c : candidates) {
    if (c.distance - slots_.margin(p, c.slot) > lowest.bound()) continue;
    exact.push_back({slots_.exact_distance(p, c.slot), c.slot});
    lowest.offer(exact.back().distance);
  }
  std::sort(exact.begin(), exact.end(), nearer);
  if (exact.size() > k) exact.resize(k);
  candidates = std::move(exact);
}

/// Every live slot of `which`, or from `from` on.
std::vector<Near> State::scan(const Prepared& p, std::size_t k, const std::vector<Slot>* which, Slot from) const {
  const std::size_t total = which != nullptr ? which->size() : slots_.size() - from;
  std::vector<Near> candidates;
  Lowest lowest(k);  // of what distances can be at most
  std::int32_t products[kRun];
  const std::int8_t* rows[kRun];
  for (std::size_t at = 0; at < total;) {
    std::size_t n = std::min(kRun, total - at);
    if (which != nullptr) {
      for (std::size_t i = 0; i < n; ++i) rows[i] = slots_.codes((*which)[at + i]);
      slots_.kernels().dot_rows(products, rows, static_cast<std::int64_t>(n), p.q.data(), slots_.padded());
    } else {
      const Slot first = from + static_cast<Slot>(at);
      n = std::min<std::size_t>(n, Slots::kChunk - first % Slots::kChunk);
      slots_.kernels().dot_run(products, slots_.codes(first), static_cast<std::int64_t>(n), p.q.data(),
                               slots_.padded());
    }
    for (std::size_t i = 0; i < n; ++i) {
      const Slot slot = which != nullptr ? (*which)[at + i] : from + static_cast<Slot>(at + i);
      const float distance = slots_.distance(p, slot, products[i]);
      const float margin = slots_.margin(p, slot);
      if (distance - margin > lowest.bound() || !slots_.is_live(slot)) continue;
      lowest.offer(distance + margin);
      candidates.push_back({distance, slot});
    }
    at += n;
  }
  keep_exact(p, k, candidates);
  return candidates;
}

/// Along the graph, and every slot that is not in it yet.
std::vector<Near> State::walk(const Prepared& p, std::size_t k, std::size_t width,
                              const std::optional<std::vector<Slot>>& matching) const {
  std::vector<Near> candidates = graph_->search(p, width);
  std::erase_if(candidates, [&](const Near& c) {
    if (c.slot >= graphed_ || !slots_.is_live(c.slot)) return true;
    return matching && !std::binary_search(matching->begin(), matching->end(), c.slot);
  });
  keep_exact(p, k, candidates);
  std::vector<Near> rest;
  if (matching) {
    const std::vector<Slot> late(std::lower_bound(matching->begin(), matching->end(), graphed_), matching->end());
    rest = scan(p, k, &late, 0);
  } else {
    rest = scan(p, k, nullptr, graphed_);
  }
  candidates.insert(candidates.end(), rest.begin(), rest.end());
  std::sort(candidates.begin(), candidates.end(), nearer);
  if (candidates.size() > k) candidates.resize(k);
  return candidates;
}

std::vector<Near> State::nearest(const Prepared& p, const SearchOptions& options, const std::optional<std::string>& ns,
                                 const Filter* filter) const {
  const auto matching = columns_.matching(ns, filter, slots_);
  const std::size_t candidates = matching ? matching->size() : static_cast<std::size_t>(live());
  if (candidates == 0 || options.k == 0) return {};
  if (graph_ == nullptr || graphed_ == 0) return scan(p, options.k, matching ? &*matching : nullptr, 0);
  // Of what a walk meets, this part can be an answer.
  const double part = static_cast<double>(candidates) / static_cast<double>(slots_.size());
  const std::size_t wanted = options.width > 0 ? options.width : width_for(options.k);
  const double wide = static_cast<double>(wanted) / part;
  if (walk_cost(wide, graphed_) >= static_cast<double>(candidates)) {
    return scan(p, options.k, matching ? &*matching : nullptr, 0);
  }
  return walk(p, options.k, static_cast<std::size_t>(wide), matching);
}

}  // namespace glia::vectorize
