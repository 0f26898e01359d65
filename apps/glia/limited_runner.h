// Holds a Runner's callers to the service's requests a minute, those who asked for it or everyone. Every request for an
// id of the catalogue counts, also one that is refused for its input.
// Ownership: runner and catalog must outlive it. Thread rule: as Runner.
#pragma once

#include "auth/rate_limiter.h"
#include "tasks/runner.h"

namespace glia::cli {

class LimitedRunner final : public tasks::Runner {
 public:
  LimitedRunner(tasks::Runner& runner, const catalog::Catalog& catalog, const Clock& clock, bool everyone)
      : runner_(runner), catalog_(catalog), limiter_(catalog::RateLimits::load(), clock), everyone_(everyone) {}

  /// Errors: as Runner's, and glia::Error(rate_limited).
  std::shared_ptr<tasks::Run> run(tasks::RunRequest request, std::shared_ptr<tasks::RunSink> sink) override;

 private:
  tasks::Runner& runner_;
  const catalog::Catalog& catalog_;
  auth::RateLimiter limiter_;
  const bool everyone_;
};

}  // namespace glia::cli
