// The WebSocket framing as a server speaks it (RFC 6455, section 5): messages out of bytes that arrive in any pieces,
// and frames of our own. No extensions: nothing a client sends grows here.
//
// Not Beast's stream: that wants the socket to itself, while here one pair of pumps moves the bytes of every connection
// and keeps its limits; and these few rules are fuzzed as plain bytes.
// Thread rule: one thread at a time. Errors: event() failed with close_code() and problem(); never thrown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace glia::http {

enum class FrameKind : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

class FrameReader {
 public:
  enum class Event { none, text, binary, ping, pong, close, failed };

  explicit FrameReader(std::size_t max_message_bytes) : max_message_(max_message_bytes) {}

  /// Takes from the front of `bytes`, at most to the end of one event, and returns how much was taken: less than all
  /// only when event() is not none.
  std::size_t feed(std::string_view bytes);

  /// What the last feed() completed.
  Event event() const { return event_; }
  /// The message, the ping's data, or the reason of a close.
  std::string& payload() { return payload_; }
  /// Of a close: what the other side gave (1005: nothing). Of a failure: what to close with (1002, 1007, 1009).
  std::uint16_t close_code() const { return close_code_; }
  /// Why it failed, a literal.
  std::string_view problem() const { return problem_; }

 private:
  enum class State { head, payload };

  void read_head();
  void finish_frame();
  void finish_close();
  void fail(std::uint16_t code, std::string_view why);
  bool control() const { return (opcode_ & 8) != 0; }

  const std::size_t max_message_;
  State state_ = State::head;
  Event event_ = Event::none;
  std::string head_;
  std::size_t head_bytes_ = 2;  ///< of the frame's head, as far as is known
  bool last_ = false;           ///< FIN
  std::uint8_t opcode_ = 0;
  std::uint64_t left_ = 0;  ///< payload bytes to come
  std::uint64_t at_ = 0;    ///< payload bytes taken: the mask's position
  std::uint8_t mask_[4] = {};
  std::uint8_t message_opcode_ = 0;  ///< of a message that goes on; 0: none
  std::string message_;
  std::string control_;
  std::string payload_;
  std::uint16_t close_code_ = 0;
  std::string_view problem_;
};

/// One whole, unmasked frame.
std::string frame(FrameKind kind, std::string_view payload);

/// A close frame; `reason` is cut to what fits.
std::string close_frame(std::uint16_t code, std::string_view reason);

/// Sec-WebSocket-Accept for a client's Sec-WebSocket-Key.
std::string accept_key(std::string_view key);

}  // namespace glia::http
