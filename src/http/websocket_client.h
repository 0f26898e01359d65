// For tests: the client's side of a WebSocket over RawClient, with frames exactly as the test wants them.
#pragma once

#include <string>
#include <string_view>

#include "http/raw_client.h"
#include "http/websocket_frames.h"

namespace glia::http {

/// A masked frame, as clients send them.
inline std::string client_frame(FrameKind kind, std::string_view payload, bool last = true) {
  std::string out = frame(kind, payload);
  if (!last) out[0] = static_cast<char>(out[0] & 0x7F);
  out[1] = static_cast<char>(out[1] | 0x80);
  const std::string_view mask = "\x12\x34\x56\x78";
  out.insert(out.size() - payload.size(), mask);
  for (std::size_t i = 0; i < payload.size(); i++) out[out.size() - payload.size() + i] ^= mask[i % 4];
  return out;
}

/// The head of a handshake; `fields` ends with CR LF where it is not empty.
inline std::string handshake(std::string_view target, std::string_view fields = {}) {
  return "GET " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         std::string(fields) + "\r\n";
}

}  // namespace glia::http
