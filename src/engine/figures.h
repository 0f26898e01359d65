// Collects a model's figures; ModelFigures and Histogram in engine.h are what comes out.
// Thread rule: one writer at a time (the caller locks).
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>

#include "engine/engine.h"

namespace glia::engine {

inline Histogram make_histogram(std::initializer_list<double> bounds) {
  return {bounds, std::vector<std::uint64_t>(bounds.size() + 1, 0), 0, 0};
}

inline void record(Histogram& h, double value) {
  const auto bucket = std::lower_bound(h.bounds.begin(), h.bounds.end(), value) - h.bounds.begin();
  ++h.counts[static_cast<std::size_t>(bucket)];
  h.sum += value;
  ++h.count;
}

inline ModelFigures make_figures() {
  ModelFigures f;
  f.queued_ms = make_histogram({1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000});
  f.first_token_ms = make_histogram({5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000});
  f.tokens_per_s = make_histogram({1, 2, 5, 10, 20, 50, 100, 200, 500, 1000});
  f.step_ms = make_histogram({1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000});
  f.batch_rows = make_histogram({1, 2, 4, 8, 16, 32, 64, 128, 256, 512});
  return f;
}

}  // namespace glia::engine
