#include <algorithm>

#include "http/server.h"

namespace glia::http {
namespace {

std::optional<std::string_view> first(const std::vector<std::pair<std::string, std::string>>& pairs,
                                      std::string_view name) {
  const auto it = std::find_if(pairs.begin(), pairs.end(), [&](const auto& p) { return p.first == name; });
  if (it == pairs.end()) return std::nullopt;
  return it->second;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const { return first(headers, name); }
std::optional<std::string_view> Request::param(std::string_view name) const { return first(query, name); }

}  // namespace glia::http
