// Faults that a session asks for, to rehearse what its client does when the service fails.
//
// A rule: {"fault": 3040 | "empty" | "slow" | "cut", "model"?, "route"?, "after"?, "every"?, "times"?}. It matches
// calls of its model (any id or alias of it) and route ("binding", "rest", "openai"); of those it lets `after` pass,
// then is due at every `every`-th (the first included), `times` times at most. Each rule counts every call that it
// matches; the first rule that is due decides what happens. "slow" takes `first_token_ms` (2000) and
// `between_tokens_ms` (0), "cut" takes `after_tokens` (3). Bounds: kMaxRules; delays of ten minutes and one minute.
// Thread rule: every method from any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "catalog/catalog.h"

namespace glia::api {

enum class FaultKind { error, empty, slow, cut };

struct Fault {
  FaultKind kind = FaultKind::error;
  ErrorCode code = ErrorCode::internal;  ///< of an error
  std::int64_t first_token_ms = 0;       ///< of a slow answer: from the call to its first piece
  std::int64_t between_tokens_ms = 0;    ///< and from each piece to the next
  std::int64_t after_tokens = 0;         ///< of a cut one: pieces that arrive
};

/// "3040", "empty", "slow", "cut".
std::string fault_name(const Fault& fault);

/// The error as the service gives it at this time for this model: text, Retry-After. `entry`: null for an unknown id.
Error fault_error(const Fault& fault, const catalog::ModelEntry* entry, const Clock& clock);

class Faults {
 public:
  static constexpr std::size_t kMaxRules = 256;

  explicit Faults(const catalog::Catalog& catalog) : catalog_(catalog) {}

  /// Puts new rules in place of the old, or counts anew under the same.
  /// Errors: glia::Error(invalid_input) naming the field of the rule that cannot be; nothing is changed then.
  void set(const json::value& rules);
  void reset();

  /// What is to happen to this call. `model`: as the client wrote it.
  std::optional<Fault> next(std::string_view model, std::string_view route);

 private:
  struct Rule {
    std::string model;  ///< canonical where the catalogue knows it; empty: any
    std::string route;  ///< empty: any
    std::int64_t after = 0, every = 1;
    std::optional<std::int64_t> times;
    Fault fault;
    std::int64_t matched = 0, fired = 0;
  };
  static Rule read_rule(const json::object& from, const std::string& at);
  std::string canonical(std::string_view model) const;

  const catalog::Catalog& catalog_;
  std::mutex mutex_;
  std::vector<Rule> rules_;
};

}  // namespace glia::api
