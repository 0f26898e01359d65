#include "api/guard.h"

#include <arpa/inet.h>

#include <algorithm>

namespace glia::api {
namespace {

bool is_ip_address(const std::string& name) {
  in6_addr any{};
  return ::inet_pton(AF_INET, name.c_str(), &any) == 1 || ::inet_pton(AF_INET6, name.c_str(), &any) == 1;
}

bool is_loopback(const std::string& name) {
  if (name == "localhost" || name.ends_with(".localhost") || name == "::1") return true;
  return name.starts_with("127.") && is_ip_address(name);
}

/// Names inside the URLs that bindings ask for (no page can have them: they are Cloudflare's, or no domain at all).
bool is_binding_host(std::string_view name) { return name == "workers-binding.ai" || name == "vector-search"; }

}  // namespace

std::string host_name(std::string_view authority) {
  std::string out;
  if (authority.starts_with('[')) {
    out = authority.substr(1, authority.find(']') - 1);
  } else {
    out = authority.substr(0, authority.find(':'));
  }
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

Guard::Guard(std::string_view host) : host_(host_name(host)) {
  if (std::count(host.begin(), host.end(), ':') > 1 && !host.starts_with('[')) host_ = host;  // a bare IPv6 address
}

bool Guard::name_allowed(std::string_view name) const { return !host_.empty() && name == host_; }

bool Guard::host_allowed(std::optional<std::string_view> host) const {
  if (!host) return true;  // HTTP/1.0; no browser
  const std::string name = host_name(*host);
  return is_loopback(name) || is_ip_address(name) || name_allowed(name) || is_binding_host(name);
}

bool Guard::origin_allowed(std::string_view origin) const {
  const auto scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;  // "null": a sandboxed page or a file
  const std::string_view name = origin.substr(0, scheme);
  if (name != "http" && name != "https") return false;
  const std::string host = host_name(origin.substr(scheme + 3));
  return is_loopback(host) || name_allowed(host);
}

http::Headers Guard::cors_headers(const http::Request& request) const {
  const auto origin = request.header("origin");
  if (!origin) return {};
  http::Headers headers{{"vary", "origin"}};
  if (!origin_allowed(*origin)) return headers;
  headers.emplace_back("access-control-allow-origin", *origin);
  headers.emplace_back("access-control-expose-headers",
                       "cf-ai-req-id, x-request-id, x-glia-model, x-glia-note, retry-after");
  return headers;
}

http::Headers Guard::preflight_headers(const http::Request& request) const {
  http::Headers headers = cors_headers(request);
  headers.emplace_back("access-control-allow-methods", "GET, POST, DELETE, OPTIONS");
  if (const auto asked = request.header("access-control-request-headers")) {
    headers.emplace_back("access-control-allow-headers", *asked);
  }
  if (request.header("access-control-request-private-network")) {
    headers.emplace_back("access-control-allow-private-network", "true");
  }
  headers.emplace_back("access-control-max-age", "600");
  return headers;
}

}  // namespace glia::api
