#include "api/rehearsal/faults.h"

#include <algorithm>
#include <array>
#include <limits>

#include "catalog/rate_limits.h"

namespace glia::api {
namespace {

constexpr std::int64_t kMsPerDay = 86'400'000;
constexpr std::int64_t kLongestFirstMs = 600'000;
constexpr std::int64_t kLongestBetweenMs = 60'000;
constexpr std::int64_t kMany = std::numeric_limits<std::int32_t>::max();

constexpr std::array kCodes = {
#define GLIA_ERROR(name, code, http, text) ErrorCode::name,
#include "base/error_codes.inc"
#undef GLIA_ERROR
};

[[noreturn]] void refuse(const std::string& at, std::string_view why) {
  throw Error(ErrorCode::invalid_input, at + ": " + std::string(why));
}

ErrorCode code_of(std::int64_t number, const std::string& at) {
  const auto found =
      std::find_if(kCodes.begin(), kCodes.end(), [&](ErrorCode code) { return cloudflare_code(code) == number; });
  if (found == kCodes.end()) refuse(at, "there is no error " + std::to_string(number));
  return *found;
}

std::int64_t whole(const json::value& value, const std::string& at, std::int64_t least, std::int64_t most) {
  const auto* number = value.if_int64();
  if (number == nullptr || *number < least || *number > most) {
    refuse(at, "a whole number from " + std::to_string(least) + " to " + std::to_string(most) + " is expected");
  }
  return *number;
}

std::string_view text(const json::value& value, const std::string& at) {
  if (!value.is_string() || value.get_string().empty() || value.get_string().size() > 256) {
    refuse(at, "a short text is expected");
  }
  return value.get_string();
}

Fault read_fault(const json::value& value, const std::string& at) {
  Fault fault;
  if (const auto* number = value.if_int64()) {
    fault.code = code_of(*number, at);
    return fault;
  }
  const auto* name = value.if_string();
  if (name != nullptr && *name == "empty") {
    fault.kind = FaultKind::empty;
  } else if (name != nullptr && *name == "slow") {
    fault.kind = FaultKind::slow;
    fault.first_token_ms = 2000;
  } else if (name != nullptr && *name == "cut") {
    fault.kind = FaultKind::cut;
    fault.after_tokens = 3;
  } else {
    refuse(at, "the code of an error, `empty`, `slow` or `cut` is expected");
  }
  return fault;
}

/// As the limiter says it.
std::string rate_limit_text(const catalog::ModelEntry& entry) {
  const auto limit = catalog::RateLimits::load().of(entry);
  return limit ? std::to_string(limit->per_minute) + " requests a minute for " + limit->counted : "";
}

}  // namespace

std::string fault_name(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::empty:
      return "empty";
    case FaultKind::slow:
      return "slow";
    case FaultKind::cut:
      return "cut";
    case FaultKind::error:
      break;
  }
  return std::to_string(cloudflare_code(fault.code));
}

Error fault_error(const Fault& fault, const catalog::ModelEntry* entry, const Clock& clock) {
  const std::int64_t now_ms = clock.unix_ms();
  std::string detail;
  int retry_after_s = 0;
  switch (fault.code) {
    case ErrorCode::quota_exceeded:  // until midnight UTC
      retry_after_s = static_cast<int>((kMsPerDay - now_ms % kMsPerDay + 999) / 1000);
      break;
    case ErrorCode::out_of_capacity:
      retry_after_s = 1;
      break;
    case ErrorCode::rate_limited:
      retry_after_s = 60;
      if (entry != nullptr) detail = rate_limit_text(*entry);
      break;
    case ErrorCode::model_deprecated:
      if (entry != nullptr) detail = entry->id + (entry->deprecated.empty() ? "" : " on " + entry->deprecated);
      break;
    default:
      break;
  }
  Error error(fault.code, detail);
  error.retry_after_s = retry_after_s;
  return error;
}

Faults::Rule Faults::read_rule(const json::object& from, const std::string& at) {
  Rule rule;
  const auto* fault = from.if_contains("fault");
  if (fault == nullptr) refuse(at + ".fault", "missing");
  rule.fault = read_fault(*fault, at + ".fault");
  const FaultKind kind = rule.fault.kind;
  for (const auto& [key, value] : from) {
    const std::string field = at + "." + std::string(key);
    if (key == "fault" || value.is_null()) continue;
    if (key == "model") {
      rule.model = text(value, field);
    } else if (key == "route") {
      rule.route = text(value, field);
      if (rule.route != "binding" && rule.route != "rest" && rule.route != "openai") {
        refuse(field, "`binding`, `rest` or `openai` is expected");
      }
    } else if (key == "after") {
      rule.after = whole(value, field, 0, kMany);
    } else if (key == "every") {
      rule.every = whole(value, field, 1, kMany);
    } else if (key == "times") {
      rule.times = whole(value, field, 0, kMany);
    } else if (key == "first_token_ms" && kind == FaultKind::slow) {
      rule.fault.first_token_ms = whole(value, field, 0, kLongestFirstMs);
    } else if (key == "between_tokens_ms" && kind == FaultKind::slow) {
      rule.fault.between_tokens_ms = whole(value, field, 0, kLongestBetweenMs);
    } else if (key == "after_tokens" && kind == FaultKind::cut) {
      rule.fault.after_tokens = whole(value, field, 0, kMany);
    } else {
      refuse(field, "a fault `" + fault_name(rule.fault) + "` has no such field");
    }
  }
  return rule;
}

std::string Faults::canonical(std::string_view model) const {
  const auto* entry = catalog_.find(model);
  return entry != nullptr ? entry->id : std::string(model);
}

void Faults::set(const json::value& rules) {
  if (!rules.is_array()) refuse("faults", "a list of rules is expected");
  const auto& list = rules.get_array();
  if (list.size() > kMaxRules) refuse("faults", "at most " + std::to_string(kMaxRules) + " rules are expected");
  std::vector<Rule> read;
  for (std::size_t i = 0; i < list.size(); i++) {
    const std::string at = "faults[" + std::to_string(i) + "]";
    if (!list[i].is_object()) refuse(at, "an object is expected");
    read.push_back(read_rule(list[i].get_object(), at));
    if (!read.back().model.empty()) read.back().model = canonical(read.back().model);
  }
  const std::lock_guard lock(mutex_);
  rules_ = std::move(read);
}

void Faults::reset() {
  const std::lock_guard lock(mutex_);
  for (auto& rule : rules_) rule.matched = rule.fired = 0;
}

std::optional<Fault> Faults::next(std::string_view model, std::string_view route) {
  const std::lock_guard lock(mutex_);
  if (rules_.empty()) return std::nullopt;
  const std::string id = canonical(model);
  std::optional<Fault> found;
  for (auto& rule : rules_) {
    if ((!rule.model.empty() && rule.model != id) || (!rule.route.empty() && rule.route != route)) continue;
    const std::int64_t past = rule.matched++ - rule.after;
    const bool due = past >= 0 && past % rule.every == 0 && (!rule.times || rule.fired < *rule.times);
    if (!due || found) continue;
    rule.fired++;
    found = rule.fault;
  }
  return found;
}

}  // namespace glia::api
