#include "http/request_reader.h"

#include <array>
#include <charconv>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>

#include "http/head_check.h"
#include "http/url.h"

namespace glia::http {
namespace beast_http = boost::beast::http;
namespace {

constexpr std::size_t kMaxChunkHead = 4096;  ///< a chunk's size line with its extensions, or a trailer line

}  // namespace

struct RequestReader::Impl {
  explicit Impl(const ReaderLimits& l) : limits(l) {}

  ReaderLimits limits;
  State state = State::head;
  std::string head;     ///< bytes of an unfinished head
  std::string partial;  ///< bytes of the body's framing that Beast cannot use yet
  std::unique_ptr<beast_http::request_parser<beast_http::buffer_body>> parser;  ///< from the head on
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
    parser = std::make_unique<beast_http::request_parser<beast_http::buffer_body>>();
    parser->header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
    parser->body_limit(boost::none);  // our own limit gives the numbers
    boost::system::error_code ec;
    parser->put(boost::asio::const_buffer(head.data(), head.size()), ec);
    if (ec || !parser->is_header_done()) return refuse(400, "the request head is malformed");
    const auto& message = parser->get();
    http_1_0 = message.version() == 10;
    keep_alive = !http_1_0 && message.keep_alive();
    if (!fill_request()) return refuse(400, "the request target is malformed");
    head.clear();
    head.shrink_to_fit();
    check_body();
  }

  bool fill_request() {
    const auto& message = parser->get();
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    auto target = parse_target(request.target);
    if (!target || (target->path == "*" && request.method != "OPTIONS")) return false;
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    for (const auto& field : message) {
      std::string name = lower(std::string_view(field.name_string()));
      std::string value(trim(std::string_view(field.value())));
      if (name == "host" && !target->authority.empty()) value = target->authority;  // RFC 9112, 3.2.2
      request.headers.emplace_back(std::move(name), std::move(value));
    }
    return true;
  }

  void check_body() {
    if (const auto length = parser->content_length(); length && *length > limits.max_body_bytes) {
      return refuse(413, "the body has " + std::to_string(*length) + " bytes; the limit is " +
                             std::to_string(limits.max_body_bytes));
    }
    if (const auto expect = request.header("expect")) {
      if (lower(*expect) != "100-continue") return refuse(417, "the only expectation here is 100-continue");
      continue_wanted = !http_1_0 && !parser->is_done();
    }
    state = parser->is_done() ? State::done : State::body;
  }

  std::size_t take_body(std::string_view bytes) {
    if (partial.empty()) return parse_body(bytes);
    // Beast wants a chunk's framing in one piece: complete it in `partial`, then go on.
    const std::size_t had = partial.size();
    const std::size_t added = std::min(bytes.size(), kMaxChunkHead);
    std::string joined = std::move(partial);
    partial.clear();
    joined += bytes.substr(0, added);
    const std::size_t used = parse_body(joined);
    return state == State::body ? added : (used > had ? used - had : 0);
  }

  /// Gives bytes to Beast until it is done or wants more; what it cannot use yet goes to `partial`.
  std::size_t parse_body(std::string_view bytes) {
    std::array<char, 16384> piece;
    std::size_t used = 0;
    while (state == State::body && used < bytes.size()) {
      auto& body = parser->get().body();
      body.data = piece.data();
      body.size = piece.size();
      body.more = true;
      boost::system::error_code ec;
      const std::size_t n = parser->put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), ec);
      used += n;
      request.body.append(piece.data(), piece.size() - body.size);
      if (request.body.size() > limits.max_body_bytes) {
        refuse(413, "the body is longer than " + std::to_string(limits.max_body_bytes) + " bytes");
      } else if (parser->is_done()) {
        state = State::done;
      } else if (ec == beast_http::error::need_more || (!ec && n == 0)) {
        if (bytes.size() - used >= kMaxChunkHead) {
          refuse(400, "a chunk's size line or a trailer is too long");
        } else {
          partial = bytes.substr(used);
          used = bytes.size();
        }
      } else if (ec && ec != beast_http::error::need_buffer) {
        refuse(400, "the chunked body is malformed");
      }
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
