#include "http/websocket_frames.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/base64.h"
#include "base/utf8.h"

namespace glia::http {
namespace {

constexpr std::size_t kMaxControl = 125;
constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kNotUtf8 = 1007;
constexpr std::uint16_t kTooBig = 1009;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

/// Codes that may stand in a close frame (RFC 6455, 7.4, and the registry's later ones).
bool may_be_sent(std::uint64_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/// SHA-1 (FIPS 180-4): what the handshake asks for, and nothing that protects anything.
std::string sha1(std::string data) {
  std::array<std::uint32_t, 5> h = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  const std::uint64_t bits = std::uint64_t{data.size()} * 8;
  data += '\x80';
  while (data.size() % 64 != 56) data += '\0';
  append_big_endian(data, bits, 8);
  for (std::size_t block = 0; block < data.size(); block += 64) {
    std::array<std::uint32_t, 80> w{};
    for (std::size_t i = 0; i < 16; i++) {
      w[i] = static_cast<std::uint32_t>(big_endian(std::string_view(data).substr(block + i * 4, 4)));
    }
    for (std::size_t i = 16; i < 80; i++) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    auto [a, b, c, d, e] = h;
    for (std::size_t i = 0; i < 80; i++) {
      const std::uint32_t f = i < 20   ? (b & c) | (~b & d)
                              : i < 40 ? b ^ c ^ d
                              : i < 60 ? (b & c) | (b & d) | (c & d)
                                       : b ^ c ^ d;
      const std::uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
      const std::uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    h = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e};
  }
  std::string out;
  for (const std::uint32_t word : h) append_big_endian(out, word, 4);
  return out;
}

}  // namespace

std::size_t FrameReader::feed(std::string_view bytes) {
  if (event_ == Event::failed || event_ == Event::close) return bytes.size();  // nothing counts after these
  event_ = Event::none;
  std::size_t used = 0;
  while (event_ == Event::none) {
    if (state_ == State::head) {
      const std::size_t n = std::min(head_bytes_ - head_.size(), bytes.size() - used);
      head_.append(bytes.substr(used, n));
      used += n;
      if (head_.size() < head_bytes_) break;
      read_head();
      continue;
    }
    const std::size_t n = std::min<std::uint64_t>(left_, bytes.size() - used);
    std::string& into = control() ? control_ : message_;
    for (const char c : bytes.substr(used, n))
      into += static_cast<char>(static_cast<std::uint8_t>(c) ^ mask_[at_++ % 4]);
    used += n;
    left_ -= n;
    if (left_ > 0) break;
    finish_frame();
  }
  return used;
}

/// Called when head_bytes_ are there; asks for more of them or goes on to the payload.
void FrameReader::read_head() {
  const auto first = static_cast<std::uint8_t>(head_[0]);
  const auto second = static_cast<std::uint8_t>(head_[1]);
  const std::size_t short_length = second & 0x7F;
  if (head_.size() == 2) {
    last_ = (first & 0x80) != 0;
    opcode_ = first & 0x0F;
    if ((first & 0x70) != 0) return fail(kProtocolError, "a reserved bit is set");
    if ((second & 0x80) == 0) return fail(kProtocolError, "a client's frames are masked");
    if (opcode_ > 2 && (opcode_ < 8 || opcode_ > 10)) return fail(kProtocolError, "an unknown opcode");
    if (control() && (!last_ || short_length > kMaxControl)) return fail(kProtocolError, "a control frame is too long");
    if (opcode_ == 0 && message_opcode_ == 0) return fail(kProtocolError, "nothing is there to go on with");
    if (!control() && opcode_ != 0 && message_opcode_ != 0) return fail(kProtocolError, "a message is not at its end");
    head_bytes_ = 2 + (short_length == 127 ? 8U : short_length == 126 ? 2U : 0U) + 4U;
    return;
  }
  const std::string_view length = std::string_view(head_).substr(2, head_bytes_ - 6);
  left_ = length.empty() ? short_length : big_endian(length);
  if ((length.size() == 2 && left_ < 126) || (length.size() == 8 && (left_ < 65536 || left_ >> 63 != 0))) {
    return fail(kProtocolError, "a length has more bytes than it needs");
  }
  if (!control()) {
    if (left_ > max_message_ - message_.size()) return fail(kTooBig, "a message is too long");
    if (opcode_ != 0) message_opcode_ = opcode_;
  }
  for (std::size_t i = 0; i < 4; i++) mask_[i] = static_cast<std::uint8_t>(head_[head_bytes_ - 4 + i]);
  at_ = 0;
  state_ = State::payload;
}

void FrameReader::finish_frame() {
  state_ = State::head;
  head_.clear();
  head_bytes_ = 2;
  if (control()) {
    payload_ = std::exchange(control_, {});
    if (opcode_ == static_cast<std::uint8_t>(FrameKind::close)) return finish_close();
    event_ = opcode_ == static_cast<std::uint8_t>(FrameKind::ping) ? Event::ping : Event::pong;
    return;
  }
  if (!last_) return;
  payload_ = std::exchange(message_, {});
  const bool text = std::exchange(message_opcode_, std::uint8_t{0}) == static_cast<std::uint8_t>(FrameKind::text);
  if (text && first_invalid_utf8(payload_) != std::string_view::npos) return fail(kNotUtf8, "a text is not UTF-8");
  event_ = text ? Event::text : Event::binary;
}

void FrameReader::finish_close() {
  close_code_ = 1005;
  if (!payload_.empty()) {
    const std::uint64_t code = payload_.size() < 2 ? 0 : big_endian(std::string_view(payload_).substr(0, 2));
    if (!may_be_sent(code)) return fail(kProtocolError, "a close has no code that may be sent");
    payload_.erase(0, 2);
    if (first_invalid_utf8(payload_) != std::string_view::npos) return fail(kNotUtf8, "a close's reason is not UTF-8");
    close_code_ = static_cast<std::uint16_t>(code);
  }
  event_ = Event::close;
}

void FrameReader::fail(std::uint16_t code, std::string_view why) {
  event_ = Event::failed;
  close_code_ = code;
  problem_ = why;
  message_.clear();
  payload_.clear();
}

std::string frame(FrameKind kind, std::string_view payload) {
  std::string out(1, static_cast<char>(0x80 | static_cast<int>(kind)));
  if (payload.size() < 126) {
    append_big_endian(out, payload.size(), 1);
  } else if (payload.size() < 65536) {
    out += '\x7E';
    append_big_endian(out, payload.size(), 2);
  } else {
    out += '\x7F';
    append_big_endian(out, payload.size(), 8);
  }
  return out.append(payload);
}

std::string close_frame(std::uint16_t code, std::string_view reason) {
  std::size_t fits = std::min(reason.size(), kMaxControl - 2);
  while (fits > 0 && fits < reason.size() && (static_cast<unsigned char>(reason[fits]) & 0xC0) == 0x80) fits--;
  std::string payload;
  append_big_endian(payload, code, 2);
  return frame(FrameKind::close, payload.append(reason.substr(0, fits)));
}

std::string accept_key(std::string_view key) {
  return base64(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

}  // namespace glia::http
