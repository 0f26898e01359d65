// Who may talk to this server from a browser: pages of this machine, under names that cannot be rebound.
//
// Host must be a loopback name, an IP address, the configured host, or the name inside a binding's URL: a page of
// another site whose name was pointed here (DNS rebinding) sends its own name. Origin, where a browser sends one, must
// be a loopback name or the configured host; anything else is refused, also where it could not read the answer, since a
// run costs. No wildcard is ever sent. Source: Fetch standard, section 3.2 (CORS); RFC 9110, 7.2 (Host).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace glia::api {

class Guard {
 public:
  /// `host`: as configured to listen on.
  explicit Guard(std::string_view host);

  bool host_allowed(std::optional<std::string_view> host) const;
  bool origin_allowed(std::string_view origin) const;

  /// What an answer to this request must carry for a page to read it; nothing without an Origin.
  http::Headers cors_headers(const http::Request& request) const;
  /// Those of the answer to a preflight.
  http::Headers preflight_headers(const http::Request& request) const;

 private:
  bool name_allowed(std::string_view name) const;

  std::string host_;
};

/// "Example.COM:80" → "example.com", "[::1]:80" → "::1".
std::string host_name(std::string_view authority);

}  // namespace glia::api
