#include "http/websocket.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "http/websocket_client.h"

namespace glia::http {
namespace {

using namespace std::chrono_literals;

template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// Answers each message with itself; "bye" with a close, "silence" with nothing.
class WebSocketTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    server_ = Server::start(options, [this](Request request, std::shared_ptr<Responder> responder) {
      try {
        WebSocketEvents events;
        events.message = [this](std::string message, bool is_text) { answer(std::move(message), is_text); };
        events.closed = [this](std::uint16_t code) {
          code_ = code;
          closed_++;
        };
        WebSocketOptions own;
        own.max_message_bytes = 1000;
        own.headers = {{"x-request-id", "7"}};
        const std::lock_guard lock(mutex_);
        sockets_.push_back(WebSocket::accept(request, responder, std::move(events), std::move(own)));
      } catch (const Error& error) {
        responder->send(400, {}, error.detail());
      }
    });
  }

  void answer(std::string message, bool is_text) {
    const std::lock_guard lock(mutex_);
    received_.push_back(message);
    if (message == "silence") return;
    if (message == "bye") return sockets_.back()->close(4000, "as you like");
    is_text ? sockets_.back()->send_text(message) : sockets_.back()->send_binary(message);
  }

  RawClient open(std::string_view and_at_once = {}) {
    RawClient client(server_->port());
    client.send(handshake("/") + std::string(and_at_once));
    head_ = client.until("\r\n\r\n");
    return client;
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<WebSocket>> sockets_;
  std::vector<std::string> received_;
  std::atomic<int> closed_{0};
  std::atomic<int> code_{0};
  std::string head_;
  std::unique_ptr<Server> server_;
};

TEST_F(WebSocketTest, TheHandshake) {
  start();
  auto client = open();
  EXPECT_TRUE(head_.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << head_;
  for (const char* field : {"\r\nconnection: upgrade\r\n", "\r\nupgrade: websocket\r\n", "\r\nx-request-id: 7\r\n",
                            "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"}) {
    EXPECT_NE(head_.find(field), std::string::npos) << field << head_;
  }
  EXPECT_EQ(head_.find("content-length"), std::string::npos);
  EXPECT_EQ(head_.find("connection: close"), std::string::npos);
}

TEST_F(WebSocketTest, RefusesWhatIsNoHandshake) {
  start();
  const std::string good = handshake("/");
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"GET", "POST"},
                                                                                 {"keep-alive, Upgrade", "keep-alive"},
                                                                                 {"Upgrade: websocket", "Upgrade: h2c"},
                                                                                 {"Version: 13", "Version: 8"},
                                                                                 {"dGhlIHNhbXBsZSBub25jZQ==", "dGhl"},
                                                                                 {"HTTP/1.1", "HTTP/1.0"}}) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    RawClient client(server_->port());
    client.send(bad);
    EXPECT_NE(client.until("\r\n\r\n").find(" 400 "), std::string::npos) << to;
  }
}

TEST_F(WebSocketTest, MessagesGoBothWays) {
  start();
  auto client = open(client_frame(FrameKind::text, "early"));
  EXPECT_EQ(client.until("early"), frame(FrameKind::text, "early")) << "what came with the handshake is not lost";
  client.send(client_frame(FrameKind::binary, std::string(300, 'x')));
  EXPECT_EQ(client.until(std::string(300, 'x')), frame(FrameKind::binary, std::string(300, 'x')));
  client.send(client_frame(FrameKind::ping, "are you there"));
  EXPECT_EQ(client.until("there"), frame(FrameKind::pong, "are you there"));
  {
    const std::lock_guard lock(mutex_);
    sockets_.back()->send_text("by itself");
  }
  EXPECT_EQ(client.until("itself"), frame(FrameKind::text, "by itself"));
}

TEST_F(WebSocketTest, EitherSideCloses) {
  start();
  auto client = open();
  client.send(client_frame(FrameKind::close,
                           "\x03\xE8"
                           "done"));
  EXPECT_EQ(client.rest(), close_frame(1000, ""));
  EXPECT_EQ(code_, 1000);
  auto other = open();
  other.send(client_frame(FrameKind::text, "bye") + client_frame(FrameKind::text, "after"));
  EXPECT_EQ(other.rest(), close_frame(4000, "as you like"));
  EXPECT_EQ(received_.back(), "bye") << "nothing is told after our own close";
  EXPECT_EQ(closed_, 1);
  other.close();
  client.close();
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(WebSocketTest, AClientThatLeavesIsTold) {
  start();
  for (const bool hard : {false, true}) {
    auto client = open();
    const int before = closed_;
    hard ? client.reset() : client.close();
    EXPECT_TRUE(eventually([&] { return closed_ == before + 1; }));
    EXPECT_EQ(code_, 1006);
  }
}

TEST_F(WebSocketTest, BrokenFramesEndIt) {
  start();
  auto client = open();
  client.send(frame(FrameKind::text, "unmasked"));
  EXPECT_EQ(client.rest().substr(0, 4), close_frame(1002, std::string(30, 'x')).substr(0, 1) +
                                            close_frame(1002, "a client's frames are masked").substr(1, 3));
  auto other = open();
  other.send(client_frame(FrameKind::binary, std::string(1001, 'x')));
  EXPECT_EQ(other.rest(), close_frame(1009, "a message is too long"));
  EXPECT_TRUE(eventually([&] { return closed_ == 2; }));
}

TEST_F(WebSocketTest, DroppingTheHandleGoesAway) {
  start();
  auto client = open();
  eventually([&] {
    const std::lock_guard lock(mutex_);
    return !sockets_.empty();
  });
  {
    const std::lock_guard lock(mutex_);
    sockets_.clear();
  }
  EXPECT_EQ(client.rest(), close_frame(1001, ""));
}

TEST_F(WebSocketTest, ASlowReaderIsCutOff) {
  ServerOptions options;
  options.max_pending_bytes = 64 << 10;
  start(options);
  auto client = open();
  const std::string message(16 << 10, 'x');
  for (int i = 0; i < 2000 && closed_ == 0; i++) {
    const std::lock_guard lock(mutex_);
    sockets_.back()->send_binary(message);
  }
  EXPECT_TRUE(eventually([&] { return closed_ == 1; }));
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(WebSocketTest, AnIdleOneIsCutOff) {
  ServerOptions options;
  options.idle_timeout_s = 1;
  start(options);
  auto client = open();
  EXPECT_TRUE(client.closed_within(4000));
  EXPECT_EQ(closed_, 1);
}

TEST_F(WebSocketTest, AServerThatEndsCloses) {
  start();
  auto client = open();
  server_.reset();
  EXPECT_TRUE(client.closed_within(2000));
  EXPECT_EQ(closed_, 1);
}

TEST_F(WebSocketTest, ManyAtOnceFromOtherThreads) {
  start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; i++) {
    clients.emplace_back([&, i] {
      RawClient client(server_->port());
      client.send(handshake("/"));
      client.until("\r\n\r\n");
      if (i % 3 == 0) return client.reset();
      client.send(client_frame(FrameKind::text, "silence") + client_frame(FrameKind::close, "\x03\xE8"));
      client.rest();
    });
  }
  for (auto& thread : clients) thread.join();
  EXPECT_TRUE(eventually([&] { return closed_ == 16 && server_->open_connections() == 0; }));
}

}  // namespace
}  // namespace glia::http
