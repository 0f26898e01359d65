#include "http/websocket.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "http/head_check.h"
#include "http/websocket_frames.h"

namespace glia::http {
namespace {

constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kWithoutClose = 1006;

/// Whether a comma-separated header names `token`, in any case.
bool names(std::optional<std::string_view> header, std::string_view token) {
  std::string_view rest = header.value_or("");
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    if (lower(trim(rest.substr(0, comma))) == token) return true;
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }
  return false;
}

bool is_key(std::string_view key) {
  const auto digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, digit);
}

void check_handshake(const Request& request) {
  const auto need = [](bool good, std::string_view what) {
    if (!good) throw Error(ErrorCode::incomplete_request, "this is no WebSocket handshake: " + std::string(what));
  };
  need(request.method == "GET", "it is a GET");
  need(wants_websocket(request), "the header upgrade names websocket");
  need(names(request.header("connection"), "upgrade"), "the header connection names upgrade");
  need(request.header("sec-websocket-version") == "13", "the header sec-websocket-version is 13");
  need(is_key(request.header("sec-websocket-key").value_or("")), "the header sec-websocket-key is 16 bytes in base64");
}

/// What both ends of the connection hold: the handler's handle, and the input callback that the connection owns.
class Channel {
 public:
  Channel(std::shared_ptr<Responder> responder, WebSocketEvents events, std::size_t max_message_bytes)
      : responder_(std::move(responder)), events_(std::move(events)), reader_(max_message_bytes) {}

  void send(FrameKind kind, std::string_view message) {
    const std::lock_guard lock(mutex_);
    if (!over_) responder_->write(frame(kind, message));
  }

  void close(std::uint16_t code, std::string_view reason) { end(close_frame(code, reason)); }

  /// I/O thread.
  void receive(std::string_view bytes) {
    while (!bytes.empty() && !over()) {
      bytes.remove_prefix(reader_.feed(bytes));
      handle_event();
    }
  }

  /// I/O thread: the other side is gone without a word.
  void lost() {
    if (end({})) tell_closed(kWithoutClose);
  }

 private:
  using Event = FrameReader::Event;

  void handle_event() {
    switch (reader_.event()) {
      case Event::none:
      case Event::pong:
        return;
      case Event::ping:
        return send(FrameKind::pong, reader_.payload());
      case Event::text:
      case Event::binary:
        if (events_.message) events_.message(std::move(reader_.payload()), reader_.event() == Event::text);
        return;
      case Event::close:
        if (end(reader_.close_code() == 1005 ? frame(FrameKind::close, {}) : close_frame(reader_.close_code(), {}))) {
          tell_closed(reader_.close_code());
        }
        return;
      case Event::failed:
        if (end(close_frame(reader_.close_code(), reader_.problem()))) tell_closed(reader_.close_code());
        return;
    }
  }

  bool over() {
    const std::lock_guard lock(mutex_);
    return over_;
  }

  /// True for whoever ended it first.
  bool end(const std::string& last) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(over_, true)) return false;
    if (!last.empty()) responder_->write(last);
    responder_->end();
    return true;
  }

  void tell_closed(std::uint16_t code) {
    if (events_.closed) events_.closed(code);
  }

  std::mutex mutex_;
  bool over_ = false;
  std::shared_ptr<Responder> responder_;
  WebSocketEvents events_;  ///< I/O thread
  FrameReader reader_;      ///< I/O thread
};

class Handle final : public WebSocket {
 public:
  explicit Handle(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() override { channel_->close(kGoingAway, {}); }

  void send_text(std::string_view message) override { channel_->send(FrameKind::text, message); }
  void send_binary(std::string_view message) override { channel_->send(FrameKind::binary, message); }
  void close(std::uint16_t code, std::string_view reason) override { channel_->close(code, reason); }

 private:
  std::shared_ptr<Channel> channel_;
};

}  // namespace

bool wants_websocket(const Request& request) { return names(request.header("upgrade"), "websocket"); }

std::shared_ptr<WebSocket> WebSocket::accept(const Request& request, std::shared_ptr<Responder> responder,
                                             WebSocketEvents events, WebSocketOptions options) {
  check_handshake(request);
  options.headers.emplace_back("upgrade", "websocket");
  options.headers.emplace_back("sec-websocket-accept", accept_key(*request.header("sec-websocket-key")));
  const auto channel = std::make_shared<Channel>(responder, std::move(events), options.max_message_bytes);
  responder->on_disconnect([channel] { channel->lost(); });
  responder->switch_protocols(std::move(options.headers),
                              [channel](std::string_view bytes) { channel->receive(bytes); });
  return std::make_shared<Handle>(channel);
}

}  // namespace glia::http
