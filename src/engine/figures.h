// Collects a model's figures; ModelFigures and Histogram in engine.h are what comes out.
// Thread rule: one writer at a time (the caller locks).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
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

inline Histogram make_load_histogram() {
  return make_histogram({50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000, 120000});
}

/// A histogram of other bounds, or of none, is replaced.
inline void add(Histogram& to, const Histogram& from) {
  if (from.counts.empty()) return;  // of a model that was never dropped
  if (to.bounds != from.bounds) to = Histogram{from.bounds, std::vector<std::uint64_t>(from.counts.size(), 0), 0, 0};
  for (std::size_t i = 0; i < from.counts.size(); ++i) to.counts[i] += from.counts[i];
  to.sum += from.sum;
  to.count += from.count;
}

/// Adds everything that only ever grows.
inline void add_counts(ModelStatus& to, const ModelStatus& from) {
  for (const auto which : {&ModelStatus::generated_tokens, &ModelStatus::prompt_tokens, &ModelStatus::cached_tokens,
                           &ModelStatus::drafted_tokens, &ModelStatus::accepted_tokens, &ModelStatus::set_back,
                           &ModelStatus::recomputed_tokens, &ModelStatus::steps}) {
    to.*which += from.*which;
  }
  for (const auto which : {&ModelFigures::stopped, &ModelFigures::out_of_tokens, &ModelFigures::cancelled,
                           &ModelFigures::failed, &ModelFigures::refused, &ModelFigures::prefix_hits}) {
    to.figures.*which += from.figures.*which;
  }
  for (const auto which : {&ModelFigures::queued_ms, &ModelFigures::first_token_ms, &ModelFigures::tokens_per_s,
                           &ModelFigures::step_ms, &ModelFigures::batch_rows}) {
    add(to.figures.*which, from.figures.*which);
  }
}

/// Tokens a second over the last seconds of work: what is further back counts less and less, pauses count nothing.
class RecentRate {
 public:
  void note(double tokens, double seconds) {
    const double keep = std::exp(-seconds / 5.0);
    tokens_ = tokens_ * keep + tokens;
    seconds_ = seconds_ * keep + seconds;
  }
  double per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0; }

 private:
  double tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace glia::engine
