// Request targets and percent-encoding (RFC 3986, RFC 9112 section 3.2; queries as application/x-www-form-urlencoded).
// Errors: functions that parse return nullopt for what is malformed; an encoded NUL counts as malformed,
// and so does a decoded path or query that is not UTF-8.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace glia::http {

/// Decodes %XX; with `plus_is_space`, '+' too.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// Everything but unreserved characters as %XX.
std::string percent_encode(std::string_view text);

std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

struct Target {
  std::string authority;  ///< "host:port" of an absolute-form target, else empty
  std::string path;       ///< decoded
  std::vector<std::pair<std::string, std::string>> query;
};

/// Origin-form ("/a?b=c"), absolute-form ("http://host/a?b=c") or "*".
std::optional<Target> parse_target(std::string_view target);

}  // namespace glia::http
