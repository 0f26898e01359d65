#include "http/request_reader.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include "http/chunked_body.h"
#include "http/head_check.h"
#include "http/url.h"

namespace glia::http {
namespace beast_http = boost::beast::http;
struct RequestReader::Impl {
  explicit Impl(const ReaderLimits& l) : limits(l) {}

  ReaderLimits limits;
  State state = State::head;
  std::string head;                   ///< bytes of an unfinished head
  std::uint64_t length = 0;           ///< of a body that is not chunked
  std::optional<ChunkedBody> chunks;  ///< of one that is
  Request request;
  Refusal refusal;
  bool continue_wanted = false;
  bool keep_alive = false;
  bool http_1_0 = false;

  void refuse(int status, std::string reason) {
    state = State::refused;
    refusal = {status, std::move(reason)};
  }

  /// Bytes up to and including the empty line; 0 when the head goes on (or is refused).
  std::size_t take_head(std::string_view bytes) {
    std::size_t i = 0;
    while (head.empty() && i < bytes.size() && (bytes[i] == '\r' || bytes[i] == '\n')) i++;  // RFC 9112, 2.2
    for (; i < bytes.size(); i++) {
      const char c = bytes[i];
      const char before = head.empty() ? '\0' : head.back();
      if (head.empty() && !is_token({&c, 1})) {
        refuse(400, "this is not an HTTP request");
        return i + 1;
      }
      if ((c == '\n') != (before == '\r') || c == '\0') {
        refuse(400, "lines of the request head end with CR LF");
        return i + 1;
      }
      head += c;
      if (c == '\n' && head.ends_with("\r\n\r\n")) {
        begin_body();
        return i + 1;
      }
      if (head.size() >= limits.max_header_bytes) {
        refuse(431, "the request head is longer than " + std::to_string(limits.max_header_bytes) + " bytes");
        return i + 1;
      }
    }
    return i;
  }

  void begin_body() {
    if (auto problem = check_head(head, limits.max_fields)) return refuse(problem->status, std::move(problem->reason));
    beast_http::request_parser<beast_http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
    parser.body_limit(boost::none);  // our own limit gives the numbers
    boost::system::error_code ec;
    parser.put(boost::asio::const_buffer(head.data(), head.size()), ec);
    if (ec || !parser.is_header_done()) return refuse(400, "the request head is malformed");
    const auto& message = parser.get();
    http_1_0 = message.version() == 10;
    keep_alive = !http_1_0 && message.keep_alive();
    if (!fill_request(message)) return refuse(400, "the request target is malformed");
    head.clear();
    head.shrink_to_fit();
    if (parser.chunked()) chunks.emplace();
    length = parser.content_length().value_or(0);
    check_body();
  }

  bool fill_request(const beast_http::request_header<>& message) {
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    auto target = parse_target(request.target);
    if (!target || (target->path == "*" && request.method != "OPTIONS")) return false;
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    for (const auto& field : message) {
      std::string name = lower(std::string_view(field.name_string()));
      if (http_1_0 && name == "upgrade") continue;  // RFC 9110, 7.8
      std::string value(trim(std::string_view(field.value())));
      if (name == "host" && !target->authority.empty()) value = target->authority;  // RFC 9112, 3.2.2
      request.headers.emplace_back(std::move(name), std::move(value));
    }
    return true;
  }

  void check_body() {
    if (length > limits.max_body_bytes) {
      return refuse(413, "the body has " + std::to_string(length) + " bytes; the limit is " +
                             std::to_string(limits.max_body_bytes));
    }
    const bool has_body = chunks || length > 0;
    if (const auto expect = request.header("expect")) {
      if (lower(*expect) != "100-continue") return refuse(417, "the only expectation here is 100-continue");
      continue_wanted = !http_1_0 && has_body;
    }
    state = has_body ? State::body : State::done;
  }

  std::size_t take_body(std::string_view bytes) {
    if (!chunks) {
      // Who has sent this much gets room for the rest: no copy of a long body while it grows.
      constexpr std::size_t kEarnest = std::size_t{1} << 20;
      if (request.body.size() >= kEarnest && request.body.capacity() < length) request.body.reserve(length);
      const std::size_t n = std::min<std::uint64_t>(length - request.body.size(), bytes.size());
      request.body += bytes.substr(0, n);
      if (request.body.size() == length) state = State::done;
      return n;
    }
    const std::size_t used = chunks->feed(bytes, limits.max_body_bytes - request.body.size(), request.body);
    if (!chunks->problem().empty()) {
      refuse(400, std::string(chunks->problem()));
    } else if (chunks->done()) {
      state = State::done;
    } else if (used < bytes.size()) {
      refuse(413, "the body is longer than " + std::to_string(limits.max_body_bytes) + " bytes");
    }
    return used;
  }
};

RequestReader::RequestReader(const ReaderLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t used = 0;
  if (impl_->state == State::head) used = impl_->take_head(bytes);
  if (impl_->state == State::body && used < bytes.size()) used += impl_->take_body(bytes.substr(used));
  return used;
}

RequestReader::State RequestReader::state() const { return impl_->state; }
bool RequestReader::started() const { return impl_->state != State::head || !impl_->head.empty(); }
bool RequestReader::wants_continue() const { return impl_->continue_wanted && impl_->state == State::body; }
std::size_t RequestReader::body_bytes() const { return impl_->request.body.size(); }
bool RequestReader::keep_alive() const { return impl_->keep_alive; }
bool RequestReader::http_1_0() const { return impl_->http_1_0; }
const Refusal& RequestReader::refusal() const { return impl_->refusal; }
Request& RequestReader::request() { return impl_->request; }

}  // namespace glia::http
