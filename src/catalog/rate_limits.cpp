#include "catalog/rate_limits.h"

#include <algorithm>

#include "base/error.h"
#include "catalog/embedded.h"

namespace glia::catalog {
namespace {

constexpr std::string_view kFile = "rate_limits.json";

std::map<std::string, std::int32_t, std::less<>> counts(const json::value& file, std::string_view key) {
  std::map<std::string, std::int32_t, std::less<>> out;
  for (const auto& [name, count] : file.as_object().at(key).as_object()) {
    const auto n = count.to_number<std::int32_t>();
    if (n < 1) throw Error(ErrorCode::internal, "the catalogue is inconsistent: a rate limit below 1");
    out.emplace(name, n);
  }
  return out;
}

}  // namespace

RateLimits RateLimits::load() {
  const auto& files = embedded_files();
  const auto it = std::find_if(files.begin(), files.end(), [](const auto& f) { return f.first == kFile; });
  if (it == files.end()) throw Error(ErrorCode::internal, "the catalogue has no rate_limits.json");
  return RateLimits(parse_json(it->second));
}

RateLimits::RateLimits(const json::value& file) : tasks_(counts(file, "per_minute")), models_(counts(file, "models")) {}

std::optional<RateLimit> RateLimits::of(const ModelEntry& entry) const {
  if (const auto own = models_.find(entry.id); own != models_.end()) return RateLimit{own->first, own->second};
  if (const auto task = tasks_.find(entry.task); task != tasks_.end()) return RateLimit{task->first, task->second};
  return {};
}

}  // namespace glia::catalog
