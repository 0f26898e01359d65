#include "http/fetch.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <mutex>

#include "http/head_check.h"

namespace glia::http {
namespace {

using Why = Unreachable::Why;

/// Where Linux distributions keep the certificates they trust, as Go's crypto/x509 lists them.
constexpr std::array kSystemBundles = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL 6
    "/etc/ssl/ca-bundle.pem",                             // openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // RHEL 7 and later
    "/etc/ssl/cert.pem",                                  // Alpine
};
constexpr std::size_t kMostHeaderBytes = 256 << 10;

void init_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Not the machine's openssl.cnf: it may ask for modules of another OpenSSL than the one in here.
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    curl_global_init(CURL_GLOBAL_DEFAULT);
  });
}

bool is_file(const char* path) {
  struct stat s {};
  return ::stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

std::string ca_file_of(const FetchOptions& options) {
  if (!options.ca_file.empty()) return options.ca_file;
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  for (const char* path : kSystemBundles) {
    if (is_file(path)) return path;
  }
  return {};
}

Unreachable why_not(CURLcode code, const std::string& url, const std::string& detail) {
  const std::string host = origin_of(url).value_or("the address");
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {Why::refused, "the name in " + host + " is unknown here; is this machine offline?"};
    case CURLE_COULDNT_CONNECT:
      return {Why::refused, "nothing answers at " + host};
    case CURLE_OPERATION_TIMEDOUT:
      return {Why::timed_out, host + " does not answer, or fell silent"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return {Why::untrusted, "the certificate of " + host + " is not trusted" +
                                  (detail.empty() ? "" : " (" + detail + ")") +
                                  "; SSL_CERT_FILE names a file of certificates to trust"};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return {Why::cut_off, "the connection to " + host + " ended before the answer did"};
    case CURLE_SSL_CONNECT_ERROR:
      return {Why::malformed, "no TLS connection to " + host};
    default:
      return {Why::malformed, host + ": " + curl_easy_strerror(code)};
  }
}

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0U) != CURLUE_OK) return {};
  std::string out = text;
  curl_free(text);
  return out;
}

Url parsed(const std::string& text) {
  Url url(curl_url());
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return nullptr;
  const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
  return scheme == "http" || scheme == "https" ? std::move(url) : nullptr;
}

/// One request while it runs.
struct Exchange {
  const std::function<bool(const FetchAnswer&)>& on_head;
  const OnData& on_data;
  const std::atomic<bool>* cancelled;
  FetchAnswer answer = {};
  std::size_t header_bytes = 0;
  bool head_done = false;
  std::exception_ptr thrown = {};

  /// Runs a callback; nothing may be thrown through libcurl.
  template <class Call>
  bool guarded(Call call) {
    try {
      if (call()) return true;
      answer.stopped = true;
    } catch (...) {
      thrown = std::current_exception();
    }
    return false;
  }

  bool header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMostHeaderBytes) return false;
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {  // also a second time, after "100 Continue" or a proxy's answer
      answer.headers.clear();
      const auto space = line.find(' ');
      answer.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space)).c_str());
      return true;
    }
    if (line.empty()) {
      if (answer.status < 200) return true;
      head_done = true;
      return !on_head || guarded([&] { return on_head(answer); });
    }
    const auto colon = line.find(':');
    if (colon == line.npos || head_done) return true;
    auto value = line.substr(colon + 1);
    const auto begin = value.find_first_not_of(" \t");
    value.remove_prefix(begin == value.npos ? value.size() : begin);
    answer.headers.emplace_back(lower(line.substr(0, colon)), std::string(value));
    return true;
  }

  static std::size_t header_c(char* data, std::size_t size, std::size_t count, void* self) {
    return static_cast<Exchange*>(self)->header({data, size * count}) ? size * count : 0;
  }
  static std::size_t data_c(char* data, std::size_t size, std::size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const std::string_view piece(data, size * count);
    const bool more = !exchange.on_data || exchange.guarded([&] { return exchange.on_data(piece); });
    return more ? piece.size() : CURL_WRITEFUNC_ERROR;
  }
  static int progress_c(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& exchange = *static_cast<Exchange*>(self);
    if (exchange.cancelled != nullptr && exchange.cancelled->load(std::memory_order_relaxed)) {
      exchange.answer.cancelled = true;
    }
    return exchange.answer.cancelled ? 1 : 0;
  }
};

struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

}  // namespace

struct Fetcher::Impl {
  explicit Impl(FetchOptions given) : options(std::move(given)) {
    init_once();
    handle = curl_easy_init();
    if (handle == nullptr) throw Error(ErrorCode::internal, "libcurl could not be started");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_timeout_s));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout_s));
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    set(CURLOPT_USERAGENT, options.user_agent.c_str());
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    ca_file = ca_file_of(options);
    if (!ca_file.empty()) set(CURLOPT_CAINFO, ca_file.c_str());
    if (const char* folder = std::getenv("SSL_CERT_DIR"); folder != nullptr && *folder != '\0') {
      set(CURLOPT_CAPATH, folder);
    }
    set(CURLOPT_ERRORBUFFER, problem.data());
    set(CURLOPT_HEADERFUNCTION, &Exchange::header_c);
    set(CURLOPT_WRITEFUNCTION, &Exchange::data_c);
    set(CURLOPT_XFERINFOFUNCTION, &Exchange::progress_c);
    set(CURLOPT_NOPROGRESS, 0L);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { curl_easy_cleanup(handle); }

  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(handle, option, value);
  }

  FetchOptions options;
  std::string ca_file;
  CURL* handle = nullptr;
  std::array<char, CURL_ERROR_SIZE> problem{};
};

std::optional<std::string_view> FetchAnswer::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Fetcher::Fetcher(FetchOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Fetcher::~Fetcher() = default;

FetchAnswer Fetcher::get(const std::string& url, const Headers& headers,
                         const std::function<bool(const FetchAnswer& head)>& on_head, const OnData& on_data) {
  Impl& impl = *impl_;
  if (!origin_of(url)) throw Unreachable(Why::malformed, "this is no http or https address");
  if (impl.ca_file.empty() && std::getenv("SSL_CERT_DIR") == nullptr && url.starts_with("https:")) {
    throw Unreachable(Why::untrusted, "this machine has no list of certificates to trust; SSL_CERT_FILE names one");
  }
  std::unique_ptr<curl_slist, ListFree> list;
  for (const auto& [name, value] : headers) {
    curl_slist* longer = curl_slist_append(list.get(), (name + ": " + value).c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(list.release());
    list.reset(longer);
  }
  Exchange exchange{.on_head = on_head, .on_data = on_data, .cancelled = impl.options.cancelled};
  impl.problem.front() = '\0';
  impl.set(CURLOPT_URL, url.c_str());
  impl.set(CURLOPT_HTTPHEADER, list.get());
  impl.set(CURLOPT_HEADERDATA, &exchange);
  impl.set(CURLOPT_WRITEDATA, &exchange);
  impl.set(CURLOPT_XFERINFODATA, &exchange);
  const CURLcode code = curl_easy_perform(impl.handle);
  impl.set(CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  if (exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (code == CURLE_OK || exchange.answer.stopped || exchange.answer.cancelled) return std::move(exchange.answer);
  throw why_not(code, url, impl.problem.data());
}

std::optional<std::string> origin_of(const std::string& url) {
  const Url parts = parsed(url);
  if (parts == nullptr) return std::nullopt;
  std::string host = lower(part_of(parts.get(), CURLUPART_HOST));
  return part_of(parts.get(), CURLUPART_SCHEME) + "://" + host + ":" + part_of(parts.get(), CURLUPART_PORT);
}

std::optional<std::string> redirected(const std::string& base, const std::string& location) {
  const Url url = parsed(base);
  if (url == nullptr || curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return std::nullopt;
  std::string out = part_of(url.get(), CURLUPART_URL);
  return origin_of(out) ? std::optional(out) : std::nullopt;
}

}  // namespace glia::http
