// A blocking HTTP/1.1 client for the project's own programs talking to `glia serve`: one request, one connection.
//
// Thread rule: each call is independent; blocks its thread. Errors: throws Unreachable when there is no answer (nothing
// listens, cut off, too slow); any HTTP status is an answer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/server.h"

namespace glia::http {

struct ClientOptions {
  int connect_timeout_ms = 1000;
  int idle_timeout_ms = 60'000;                        ///< without a byte
  std::size_t max_body_bytes = std::size_t{64} << 20;  ///< of a body that is collected
};

struct ClientResponse {
  int status = 0;
  Headers headers;   ///< names lower-cased
  std::string body;  ///< empty when `on_data` took it

  std::optional<std::string_view> header(std::string_view name) const;
};

class Unreachable : public Error {
 public:
  enum class Why { refused, timed_out, cut_off, malformed, untrusted };
  Unreachable(Why why, std::string_view sentence) : Error(ErrorCode::internal, sentence), why(why) {}
  Why why;
};

/// Receives pieces of the body as they come; false ends the request and closes the connection.
using OnData = std::function<bool(std::string_view piece)>;

/// `url`: "http://host:port/path?query". With `on_data`, a body of status 2xx is handed over instead of collected.
ClientResponse request(std::string_view method, std::string_view url, const Headers& headers = {},
                       std::string_view body = {}, const OnData& on_data = {}, const ClientOptions& options = {});

inline ClientResponse get(std::string_view url, const OnData& on_data = {}, const ClientOptions& options = {}) {
  return request("GET", url, {}, {}, on_data, options);
}

inline ClientResponse post(std::string_view url, std::string_view json, const OnData& on_data = {},
                           const ClientOptions& options = {}) {
  return request("POST", url, {{"content-type", "application/json"}}, json, on_data, options);
}

}  // namespace glia::http
