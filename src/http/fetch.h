// The one door to the network outside: GET over HTTP and HTTPS, on libcurl and OpenSSL, both linked in.
//
// Redirects are handed back, not followed: who asks decides which headers another host may see. Certificates and names
// are verified always, against SSL_CERT_FILE (or CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE) or the machine's own list.
// HTTPS_PROXY, HTTP_PROXY and NO_PROXY are honoured.
// Thread rule: a Fetcher is used by one thread at a time; blocks it. Ownership: keeps its connections open until it
// goes. Errors: Unreachable (client.h) when there is no whole answer; any HTTP status is an answer.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.h"

namespace glia::http {

struct FetchOptions {
  int connect_timeout_s = 10;
  int stall_timeout_s = 30;  ///< without a byte
  std::string user_agent = "glia";
  std::string ca_file = {};                      ///< PEM; empty: as above
  const std::atomic<bool>* cancelled = nullptr;  ///< ends requests within a second once it is true
};

struct FetchAnswer {
  int status = 0;
  Headers headers;         ///< names lower-cased
  bool stopped = false;    ///< a callback returned false
  bool cancelled = false;  ///< FetchOptions::cancelled became true

  std::optional<std::string_view> header(std::string_view name) const;
};

class Fetcher {
 public:
  explicit Fetcher(FetchOptions options);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  /// `on_head`: status and headers, before the body; false ends the request. `on_data`: pieces of the body as they come
  /// (of any status); false ends it.
  FetchAnswer get(const std::string& url, const Headers& headers,
                  const std::function<bool(const FetchAnswer& head)>& on_head, const OnData& on_data);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "https://host:443" of an address: who gets to see what is sent there. Nothing for what is no http or https address.
std::optional<std::string> origin_of(const std::string& url);
/// Where a Location header leads to from `base`. Nothing when that is no http or https address.
std::optional<std::string> redirected(const std::string& base, const std::string& location);

}  // namespace glia::http
