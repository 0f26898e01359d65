// An HTTP/1.1 server on Boost.Beast. Handlers never see a socket or Asio.
//
// Limits: header bytes, body bytes (413 before the body is read), connections, header and idle timeouts.
// What the server itself refuses: 400 (not HTTP, both Content-Length and Transfer-Encoding, folded or repeated framing
// fields), 408 (too slow), 413, 417, 431, 501 (a transfer coding other than chunked), 503 (too many connections), 505.
// A client that closes or half-closes its side while an answer is pending counts as gone, as in Go's net/http.
// Source: RFC 9110, RFC 9112.
// Thread rule: the handler is called on the server's I/O thread and must not block; every Responder method may be
// called from any thread, after the client and the server are gone too. Errors: start() throws
// glia::Error(invalid_input) when the address is taken or not usable; the detail is a sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace glia::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;                                      ///< "GET"
  std::string target;                                      ///< as sent
  std::string path;                                        ///< percent-decoded, always starting with '/'
  std::vector<std::pair<std::string, std::string>> query;  ///< percent-decoded, in order
  Headers headers;                                         ///< names lower-cased
  std::string body;
  std::string remote;            ///< address without port
  std::int64_t received_ns = 0;  ///< steady clock, first byte of the request
  std::shared_ptr<void> charge;  ///< the body's part of max_buffered_bytes, as long as the request lives

  /// First value of a header (lower-case name) or query parameter.
  std::optional<std::string_view> header(std::string_view name) const;
  std::optional<std::string_view> param(std::string_view name) const;
};

/// Answers one request. Either send(), or begin() (or switch_protocols()), write()… and end(). Calls after the end are
/// ignored. Dropped without an end, it counts as ended with 500 or, when begun, as cut off.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void send(int status, Headers headers, std::string body) = 0;
  /// Chunked body; each write() is flushed by itself.
  virtual void begin(int status, Headers headers) = 0;
  virtual void write(std::string data) = 0;
  virtual void end() = 0;
  /// Instead of send() and begin(): answers 101 with `headers` (and Connection: upgrade). From then on write() goes out
  /// as it is, `received` gets what the client sends, on the I/O thread, until end(); the connection closes after it.
  /// See websocket.h.
  virtual void switch_protocols(Headers headers, std::function<void(std::string_view bytes)> received) = 0;
  /// Called once, on the I/O thread, when the client leaves before the answer was ended; on the calling thread, at
  /// once, if it has left already. The callback is dropped when the answer ends.
  virtual void on_disconnect(std::function<void()> callback) = 0;
  /// Bytes handed to write() and not yet taken by the socket.
  virtual std::size_t pending_bytes() const = 0;
};

using Handler = std::function<void(Request, std::shared_ptr<Responder>)>;

/// Headers and body of an answer that the server gives by itself. `head` is empty where nothing could be parsed.
using RefusalFormat =
    std::function<std::pair<Headers, std::string>(int status, std::string_view reason, const Request& head)>;

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: any free port
  std::size_t max_header_bytes = 64 << 10;
  std::size_t max_body_bytes = std::size_t{32} << 20;
  std::size_t max_connections = 4096;
  int header_timeout_s = 15;
  int idle_timeout_s = 75;   ///< between requests, and for a body or an answer without progress
  int body_timeout_s = 300;  ///< for a whole body
  std::size_t max_pending_bytes = std::size_t{8} << 20;  ///< of write() not taken by the client: then it is cut off
  /// The same of all connections together: whoever has more than a fair part of it is cut off.
  std::size_t max_all_pending_bytes = std::size_t{512} << 20;
  /// Bodies of all connections together, from their first byte until the handler lets go of the request.
  std::size_t max_buffered_bytes = std::size_t{512} << 20;
  RefusalFormat refusal;  ///< none: the reason as text/plain
};

class Server {
 public:
  /// Listens at once and serves from a thread of its own.
  static std::unique_ptr<Server> start(const ServerOptions& options, Handler handler);
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
  virtual std::size_t open_connections() const = 0;
  /// Stops accepting, waits until running answers have ended or `grace_ms` passed, then closes what is left.
  virtual void drain(int grace_ms) = 0;
};

}  // namespace glia::http
