// What a session rehearses: the seed that stands in for those its requests do not give, faults, and the list of its
// calls, for tests that ask what was used. Belongs to a session; the values of the session itself do not change.
// Bounds: kMostCalls listed; older ones only counted. Thread rule: every method from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>

#include "api/rehearsal/faults.h"
#include "base/json.h"

namespace glia::api {

class Rehearsal {
 public:
  static constexpr std::size_t kMostCalls = 10'000;

  /// Reads "seed", "faults" and "list_calls" of a session's registration. Errors: glia::Error(invalid_input).
  Rehearsal(const json::object& body, const catalog::Catalog& catalog);

  /// A request without a seed gets one made of the session's and of its own model and inputs: equal requests have equal
  /// answers, in any order, streamed or whole. Nothing without a session's seed.
  void seed(std::string_view model, json::object& inputs) const;
  /// Equal requests shall have equal answers, usage and all.
  bool seeded() const { return seed_.has_value(); }

  Faults& faults() { return faults_; }

  /// A finished call as the session's events tell it.
  void record(const json::object& call);
  /// {"calls": […], "count", "prompt_tokens", "completion_tokens", "neurons"}; the sums are over all calls.
  json::object calls() const;
  /// Forgets the calls and counts for the faults anew.
  void reset();

 private:
  struct Sums {
    std::int64_t count = 0, prompt_tokens = 0, completion_tokens = 0;
    double neurons = 0;
  };

  std::optional<std::uint64_t> seed_;
  bool list_calls_ = false;
  Faults faults_;
  mutable std::mutex mutex_;
  std::deque<json::object> calls_;
  Sums sums_;
};

/// 1 to 9999999999, what the service takes for a seed. `inputs` by content: the order of keys does not matter, nor
/// does `stream`.
std::uint64_t derived_seed(std::uint64_t seed, std::string_view model, const json::object& inputs);

}  // namespace glia::api
