#include "api/rehearsal/rehearsal.h"

#include <algorithm>
#include <string>
#include <vector>

namespace glia::api {
namespace {

constexpr std::uint64_t kSeeds = 9'999'999'999;

/// FNV-1a over the canonical form of a JSON value, without writing it down.
class ContentHash {
 public:
  void bytes(std::string_view text) {
    for (const char c : text) {
      state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
  }
  void text(std::string_view value) {
    bytes("\"");
    bytes(value);
    bytes(std::string_view("\0", 1));  // no valid text of JSON inputs ends another's early
  }
  void value(const json::value& v) {
    if (v.is_object()) return object(v.get_object(), {});
    if (v.is_array()) {
      bytes("[");
      for (const auto& item : v.get_array()) value(item);
      return bytes("]");
    }
    if (v.is_string()) return text(v.get_string());
    if (v.is_double()) {  // 1.0 and 1 are the same number of JSON
      const double number = v.get_double();
      const auto whole = static_cast<std::int64_t>(std::clamp(number, -1e15, 1e15));
      if (static_cast<double>(whole) == number) return value(json::value(whole));
    }
    bytes(json::serialize(v));
    bytes(",");
  }
  void object(const json::object& o, std::string_view without) {
    std::vector<const json::key_value_pair*> members;
    for (const auto& member : o) {
      if (member.key() != without) members.push_back(&member);
    }
    std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->key() < b->key(); });
    bytes("{");
    for (const auto* member : members) {
      text(member->key());
      value(member->value());
    }
    bytes("}");
  }
  /// Every bit of the state in every bit of the result (the finaliser of splitmix64).
  std::uint64_t result() const {
    std::uint64_t x = state_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

bool flag(const json::object& body, std::string_view field) {
  const auto* value = body.if_contains(field);
  if (value == nullptr) return false;
  if (!value->is_bool()) throw Error(ErrorCode::invalid_input, std::string(field) + ": true or false is expected");
  return value->get_bool();
}

std::int64_t whole_or_zero(const json::object& call, std::string_view field) {
  const auto* value = call.if_contains(field);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

std::uint64_t derived_seed(std::uint64_t seed, std::string_view model, const json::object& inputs) {
  ContentHash hash;
  hash.text(std::to_string(seed));
  hash.text(model);
  hash.object(inputs, "stream");
  return hash.result() % kSeeds + 1;
}

Rehearsal::Rehearsal(const json::object& body, const catalog::Catalog& catalog)
    : list_calls_(flag(body, "list_calls")), faults_(catalog) {
  if (const auto* seed = body.if_contains("seed"); seed != nullptr && !seed->is_null()) {
    const bool whole = seed->is_uint64() || (seed->is_int64() && seed->get_int64() >= 0);
    if (!whole) throw Error(ErrorCode::invalid_input, "seed: a whole number from 0 is expected");
    seed_ = seed->to_number<std::uint64_t>();
  }
  if (const auto* rules = body.if_contains("faults")) faults_.set(*rules);
}

void Rehearsal::seed(std::string_view model, json::object& inputs) const {
  if (!seed_) return;
  const auto* given = inputs.if_contains("seed");
  if (given != nullptr && !given->is_null()) return;
  inputs.erase("seed");
  inputs["seed"] = derived_seed(*seed_, model, inputs);
}

void Rehearsal::record(const json::object& call) {
  if (!list_calls_) return;
  const std::lock_guard lock(mutex_);
  sums_.count++;
  sums_.prompt_tokens += whole_or_zero(call, "prompt_tokens");
  sums_.completion_tokens += whole_or_zero(call, "completion_tokens");
  if (const auto* neurons = call.if_contains("neurons")) sums_.neurons += neurons->to_number<double>();
  calls_.push_back(call);
  if (calls_.size() > kMostCalls) calls_.pop_front();
}

json::object Rehearsal::calls() const {
  const std::lock_guard lock(mutex_);
  return {{"calls", json::array(calls_.begin(), calls_.end())},
          {"count", sums_.count},
          {"prompt_tokens", sums_.prompt_tokens},
          {"completion_tokens", sums_.completion_tokens},
          {"neurons", sums_.neurons}};
}

void Rehearsal::reset() {
  faults_.reset();
  const std::lock_guard lock(mutex_);
  calls_.clear();
  sums_ = {};
}

}  // namespace glia::api
