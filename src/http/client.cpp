#include "http/client.h"

#include <array>
#include <chrono>
#include <optional>
#include <span>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "http/answer_head.h"
#include "http/chunked_body.h"
#include "http/head_check.h"

namespace glia::http {
namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Why = Unreachable::Why;
namespace {

constexpr std::size_t kMaxHead = 64 << 10;

struct Url {
  std::string host;
  std::string port = "80";
  std::string target = "/";

  std::string address() const { return host + ":" + port; }
};

Url parse_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) throw Error(ErrorCode::invalid_input, "only http:// addresses are supported");
  url.remove_prefix(kScheme.size());
  Url out;
  const auto slash = url.find_first_of("/?");
  if (slash != std::string_view::npos) out.target = url.substr(slash);
  if (out.target.front() == '?') out.target.insert(0, "/");
  std::string_view authority = url.substr(0, slash);
  const auto colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    out.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  out.host = authority;
  return out;
}

/// A socket whose operations block, each with a time limit.
class TimedSocket {
 public:
  explicit TimedSocket(std::string address) : address_(std::move(address)), socket_(io_) {}

  void connect(const Url& url, int ms) {
    std::string host = url.host;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code ec;
    tcp::resolver resolver(io_);
    const auto endpoints = resolver.resolve(host, url.port, ec);
    if (ec) throw Unreachable(Why::refused, "the host " + host + " is unknown");
    ec = wait(ms, [&](auto done) {
      asio::async_connect(socket_, endpoints, [done](error_code e, const tcp::endpoint&) { done(e, 0); });
    });
    if (ec == asio::error::timed_out) throw Unreachable(Why::timed_out, address_ + " does not answer");
    if (ec) throw Unreachable(Why::refused, "nothing answers at " + address_);
    socket_.set_option(tcp::no_delay(true), ec);
  }

  void write(std::string_view bytes, int ms) {
    const error_code ec =
        wait(ms, [&](auto done) { asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), done); });
    // The answer may be there although the body was not taken whole: reading decides.
    if (ec == asio::error::timed_out) throw Unreachable(Why::timed_out, address_ + " takes no more of the request");
  }

  /// 0 at the end.
  std::size_t read(std::span<char> into, int ms) {
    const error_code ec =
        wait(ms, [&](auto done) { socket_.async_read_some(asio::buffer(into.data(), into.size()), done); });
    if (ec == asio::error::timed_out) throw Unreachable(Why::timed_out, address_ + " fell silent");
    return ec ? 0 : count_;
  }

 private:
  template <class Start>
  error_code wait(int ms, Start start) {
    std::optional<error_code> result;
    start([this, &result](error_code ec, std::size_t n) {
      result = ec;
      count_ = n;
    });
    io_.restart();
    io_.run_for(std::chrono::milliseconds(ms));
    if (result) return *result;
    error_code ignored;
    socket_.close(ignored);
    io_.restart();
    io_.run();
    return asio::error::timed_out;
  }

  std::string address_;
  asio::io_context io_;
  tcp::socket socket_;
  std::size_t count_ = 0;
};

std::string request_head(std::string_view method, const Url& url, const Headers& headers, std::size_t body_bytes) {
  std::string head(method);
  head += " " + url.target + " HTTP/1.1\r\nconnection: close\r\n";
  bool host_given = false;
  for (const auto& [name, value] : headers) {
    host_given = host_given || lower(name) == "host";
    head.append(name).append(": ").append(value).append("\r\n");
  }
  if (!host_given) head += "host: " + url.address() + "\r\n";
  if (body_bytes > 0 || method != "GET") head += "content-length: " + std::to_string(body_bytes) + "\r\n";
  return head + "\r\n";
}

/// Reads one answer: the head by Beast once it is whole, the body by its framing.
class Reader {
 public:
  Reader(TimedSocket& socket, std::string_view method, const OnData& on_data, const ClientOptions& options)
      : socket_(socket), head_only_(method == "HEAD"), on_data_(on_data), options_(options) {}

  ClientResponse read() {
    std::array<char, 16384> piece;
    while (!done_) {
      const std::size_t n = socket_.read(piece, options_.idle_timeout_ms);
      if (n == 0) {
        if (framing_ == Framing::until_close) break;
        throw Unreachable(Why::cut_off, "the connection ended before the answer did");
      }
      waiting_.append(piece.data(), n);
      if (framing_ == Framing::unknown) take_head();
      if (framing_ != Framing::unknown) take_body();
    }
    return std::move(response_);
  }

 private:
  enum class Framing { unknown, length, chunked, until_close };

  void take_head() {
    const auto end = waiting_.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (waiting_.size() > kMaxHead) throw Unreachable(Why::malformed, "the answer is not HTTP");
      return;
    }
    beast_http::response_parser<beast_http::empty_body> parser;
    parser.header_limit(kMaxHead + 16384);
    parser.body_limit(boost::none);
    error_code ec;
    parser.put(asio::const_buffer(waiting_.data(), end + 4), ec);
    if (ec || !parser.is_header_done()) throw Unreachable(Why::malformed, "the answer is not HTTP");
    waiting_.erase(0, end + 4);
    const int status = static_cast<int>(parser.get().result_int());
    if (status >= 100 && status < 200) return take_head();  // "100 Continue": the answer follows
    response_.status = status;
    for (const auto& field : parser.get()) {
      response_.headers.emplace_back(lower(std::string_view(field.name_string())),
                                     std::string(std::string_view(field.value())));
    }
    left_ = parser.content_length().value_or(0);
    framing_ = Framing::until_close;
    if (parser.chunked()) framing_ = Framing::chunked;
    if (head_only_ || is_bodiless(status)) left_ = 0;
    if (head_only_ || is_bodiless(status) || parser.content_length()) framing_ = Framing::length;
  }

  void take_body() {
    std::string got;
    if (framing_ == Framing::chunked) {
      chunks_.feed(waiting_, waiting_.size(), got);
      if (!chunks_.problem().empty()) throw Unreachable(Why::malformed, "the answer is not HTTP");
      done_ = chunks_.done();
    } else if (framing_ == Framing::length) {
      got = waiting_.substr(0, left_);
      left_ -= got.size();
      done_ = left_ == 0;
    } else {
      got = waiting_;
    }
    waiting_.clear();
    if (!got.empty()) hand_over(got);
  }

  void hand_over(std::string_view piece) {
    if (on_data_ && response_.status >= 200 && response_.status < 300) {
      done_ = !on_data_(piece) || done_;
      return;
    }
    if (response_.body.size() + piece.size() > options_.max_body_bytes) {
      throw Unreachable(Why::malformed, "the answer is too large");
    }
    response_.body += piece;
  }

  TimedSocket& socket_;
  const bool head_only_;
  const OnData& on_data_;
  const ClientOptions& options_;
  Framing framing_ = Framing::unknown;
  std::size_t left_ = 0;  ///< of the body, for Framing::length
  ChunkedBody chunks_;
  ClientResponse response_;
  std::string waiting_;
  bool done_ = false;
};

}  // namespace

std::optional<std::string_view> ClientResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

ClientResponse request(std::string_view method, std::string_view url, const Headers& headers, std::string_view body,
                       const OnData& on_data, const ClientOptions& options) {
  const Url parts = parse_url(url);
  TimedSocket socket(parts.address());
  socket.connect(parts, options.connect_timeout_ms);
  std::string bytes = request_head(method, parts, headers, body.size());
  bytes += body;
  socket.write(bytes, options.idle_timeout_ms);
  return Reader(socket, method, on_data, options).read();
}

}  // namespace glia::http
