// A WebSocket on the server's side (RFC 6455), on top of a Responder: the handshake, messages, pings, the close.
//
// Limits: WebSocketOptions::max_message_bytes for a message; what waits for a slow client is bound by the server's
// max_pending_bytes, and a connection on which neither side sends anything for the server's idle_timeout_s ends.
// Ownership: keep the shared_ptr as long as there is something to send; dropping it closes with 1001 (going away).
// Thread rule: send and close from any thread; events come on the I/O thread and must not block.
// Errors: accept() throws glia::Error(incomplete_request) for a handshake that cannot be taken.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"

namespace glia::http {

struct WebSocketOptions {
  std::size_t max_message_bytes = std::size_t{16} << 20;
  Headers headers;  ///< of the answer, besides those of the handshake
};

struct WebSocketEvents {
  std::function<void(std::string message, bool is_text)> message;
  /// Once, last: the other side closed or left, or broke the protocol. `code`: 1006 without a close.
  std::function<void(std::uint16_t code)> closed;
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  virtual void send_text(std::string_view message) = 0;
  virtual void send_binary(std::string_view message) = 0;
  /// Nothing is sent or told after it.
  virtual void close(std::uint16_t code, std::string_view reason) = 0;

  static std::shared_ptr<WebSocket> accept(const Request& request, std::shared_ptr<Responder> responder,
                                           WebSocketEvents events, WebSocketOptions options = {});
};

/// Whether the client asks for the upgrade: Upgrade names websocket.
bool wants_websocket(const Request& request);

}  // namespace glia::http
