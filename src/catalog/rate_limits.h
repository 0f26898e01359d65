// How many requests a minute the service takes from one account, by task, and for the models that have a limit of their
// own (catalog/rate_limits.json).
// Errors: load throws glia::Error(internal) for an inconsistent file. Thread rule: immutable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "catalog/catalog.h"

namespace glia::catalog {

struct RateLimit {
  std::string counted;  ///< what is counted together: the task, or the model that has a limit of its own
  std::int32_t per_minute = 0;
};

class RateLimits {
 public:
  static RateLimits load();
  explicit RateLimits(const json::value& file);

  /// None: no limit is published for the task.
  std::optional<RateLimit> of(const ModelEntry& entry) const;

 private:
  std::map<std::string, std::int32_t, std::less<>> tasks_;
  std::map<std::string, std::int32_t, std::less<>> models_;
};

}  // namespace glia::catalog
