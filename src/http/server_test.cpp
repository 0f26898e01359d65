#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "http/raw_client.h"

namespace glia::http {
namespace {

using namespace std::chrono_literals;

/// Waits for a condition that other threads bring about.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = 5s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// Echoes on /echo, keeps what comes to /hold for the test, which then answers by itself.
class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    server_ = Server::start(options, [this](Request request, std::shared_ptr<Responder> responder) {
      if (request.path == "/hold") {
        responder->on_disconnect([this] { left_++; });
        const std::lock_guard lock(mutex_);
        held_ = std::move(responder);
        return;
      }
      if (request.path == "/throw") throw std::runtime_error("secret");
      if (request.path == "/drop") return;
      responder->send(200, {{"content-type", "text/plain"}}, request.method + " " + request.body);
    });
  }
  RawClient client() { return RawClient(server_->port()); }

  std::shared_ptr<Responder> held() {
    std::shared_ptr<Responder> out;
    eventually([&] {
      const std::lock_guard lock(mutex_);
      out = std::exchange(held_, nullptr);
      return out != nullptr;
    });
    return out;
  }

  std::mutex mutex_;
  std::shared_ptr<Responder> held_;
  std::atomic<int> left_{0};
  std::unique_ptr<Server> server_;
};

constexpr std::string_view kHold = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";

std::string echo(std::string_view body, std::string_view fields = {}) {
  return "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(fields) + "\r\n" + std::string(body);
}

TEST_F(ServerTest, KeepsTheConnectionAndAnswersInOrder) {
  start();
  auto c = client();
  for (const char* body : {"one", "two"}) {
    c.send(echo(body));
    const std::string answer = c.until(body);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n")) << answer;
    EXPECT_NE(answer.find("content-length: 8\r\n"), std::string::npos);
  }
  c.send(echo("three") + echo("four") + echo("five", "Connection: close\r\n"));
  EXPECT_NE(c.until("POST three").find("POST three"), std::string::npos);
  EXPECT_NE(c.until("POST four").find("POST four"), std::string::npos);
  EXPECT_NE(c.rest().find("connection: close"), std::string::npos);
}

TEST_F(ServerTest, EachWriteIsFlushedAsItsOwnChunk) {
  start();
  auto c = client();
  c.send(kHold);
  const auto responder = held();
  ASSERT_TRUE(responder);
  responder->begin(200, {{"content-type", "text/event-stream"}});
  EXPECT_NE(c.until("\r\n\r\n").find("transfer-encoding: chunked"), std::string::npos);
  for (const char* piece : {"first", "second"}) {
    responder->write(piece);
    EXPECT_NE(c.until(piece, 1000).find(piece), std::string::npos) << "waits for more before it sends";
  }
  responder->end();
  responder->write("late");
  responder->send(500, {}, "late");
  EXPECT_EQ(c.until("0\r\n\r\n"), "\r\n0\r\n\r\n");
  c.send(echo("next"));
  EXPECT_NE(c.until("POST next").find("200 OK"), std::string::npos);
  EXPECT_EQ(left_, 0);
}

TEST_F(ServerTest, HearsOfAClientThatLeaves) {
  start();
  for (const int how : {0, 1, 2, 3}) {
    auto c = client();
    c.send(kHold);
    const auto responder = held();
    ASSERT_TRUE(responder);
    if (how % 2 == 1) {
      responder->begin(200, {});
      responder->write("piece");
      c.until("piece");
    }
    const int before = left_;
    const auto start = std::chrono::steady_clock::now();
    if (how < 2) c.close();
    if (how == 2) c.half_close();
    if (how == 3) c.reset();
    EXPECT_TRUE(eventually([&] { return left_ == before + 1; })) << how;
    EXPECT_LT(std::chrono::steady_clock::now() - start, 500ms);
    bool at_once = false;
    responder->on_disconnect([&] { at_once = true; });
    EXPECT_TRUE(at_once);
    responder->write("into the void");
    responder->end();
  }
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(ServerTest, AClientThatLeavesMidRequestReachesNoHandler) {
  start();
  auto c = client();
  c.send("POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
  ASSERT_TRUE(eventually([&] { return server_->open_connections() == 1; }));
  c.close();
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
  const std::lock_guard lock(mutex_);
  EXPECT_FALSE(held_);
}

TEST_F(ServerTest, ASlowReaderIsCutOffAndMemoryStaysBounded) {
  ServerOptions options;
  options.max_pending_bytes = 1 << 20;
  start(options);
  RawClient c(server_->port(), false, 4096);
  c.send(kHold);
  const auto responder = held();
  ASSERT_TRUE(responder);
  responder->begin(200, {});
  std::size_t most = 0;
  for (int i = 0; i < 2000 && left_ == 0; i++) {
    responder->write(std::string(16384, 'x'));
    most = std::max(most, responder->pending_bytes());
    if (i % 50 == 0) std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(eventually([&] { return left_ == 1; }));
  EXPECT_LE(most, options.max_pending_bytes);
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
}

// Where all together wait for more than the server has, whoever holds much is cut off and whoever holds little goes on.
TEST_F(ServerTest, ManySlowReadersShareABudget) {
  ServerOptions options;
  options.max_all_pending_bytes = 4 << 20;
  start(options);
  struct Stream {
    explicit Stream(std::uint16_t port) : client(port, false, 4096) {}
    RawClient client;
    std::shared_ptr<Responder> responder;
  };
  const auto open = [this] {
    auto stream = std::make_unique<Stream>(server_->port());
    stream->client.send(kHold);
    stream->responder = held();
    return stream;
  };
  // One that waits for little: less than a fair part, in the socket's buffers or not.
  const auto small = open();
  ASSERT_TRUE(small->responder);
  small->responder->begin(200, {});
  small->responder->write("small");
  std::vector<std::unique_ptr<Stream>> greedy;
  for (int i = 0; i < 4; i++) {
    greedy.push_back(open());
    ASSERT_TRUE(greedy.back()->responder);
    greedy.back()->responder->begin(200, {});
  }
  std::size_t most = 0;
  for (int i = 0; i < 4000 && left_ == 0; i++) {
    greedy[static_cast<std::size_t>(i % 4)]->responder->write(std::string(16384, 'x'));
    std::size_t all = small->responder->pending_bytes();
    for (const auto& stream : greedy) all += stream->responder->pending_bytes();
    most = std::max(most, all);
    if (i % 50 == 0) std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(eventually([&] { return left_ >= 1; })) << "none of them alone has more than an answer may";
  EXPECT_LE(most, options.max_all_pending_bytes);
  EXPECT_GT(most, options.max_all_pending_bytes / 2);
  small->responder->write("more");
  small->responder->end();
  EXPECT_NE(small->client.until("0\r\n\r\n").find("more"), std::string::npos);
}

TEST_F(ServerTest, AWholeBodyMayBeLargerThanTheStreamBound) {
  ServerOptions options;
  options.max_pending_bytes = 1 << 20;
  start(options);
  auto c = client();
  c.send(kHold);
  const auto responder = held();
  ASSERT_TRUE(responder);
  responder->send(200, {}, std::string(20 << 20, 'x') + "END");
  EXPECT_EQ(c.until("END").size() > (20u << 20), true);
}

TEST_F(ServerTest, HeadAndOptions) {
  start();
  auto c = client();
  c.send("HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(c.until("\r\n\r\n").find("content-length: 5"), std::string::npos);
  c.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(c.until("\r\n\r\n").starts_with("HTTP/1.1 204 No Content\r\nallow: "));
  c.send("HEAD /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto responder = held();
  responder->begin(200, {});
  responder->write("unseen");
  responder->end();
  c.until("\r\n\r\n");
  c.send(echo("after"));
  EXPECT_TRUE(c.until("POST after").starts_with("HTTP/1.1 200"));
}

TEST_F(ServerTest, OldClientsGetAnUnframedStream) {
  start();
  auto c = client();
  c.send("GET /hold HTTP/1.0\r\n\r\n");
  const auto responder = held();
  responder->begin(200, {});
  responder->write("a");
  responder->write("b");
  responder->end();
  const std::string answer = c.rest();
  EXPECT_TRUE(answer.starts_with("HTTP/1.0 200 OK\r\n")) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nab")) << answer;
}

TEST_F(ServerTest, SaysContinueOnlyWhenItWillReadTheBody) {
  ServerOptions options;
  options.max_body_bytes = 100;
  start(options);
  auto c = client();
  c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(c.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  c.send("abc");
  EXPECT_TRUE(c.until("POST abc").starts_with("HTTP/1.1 200"));
  c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n");
  EXPECT_TRUE(c.rest().starts_with("HTTP/1.1 413 "));
}

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  }
  return 0;
}

TEST_F(ServerTest, AHundredMegabytesAreRefusedUnread) {
  start();
  const std::size_t before = resident_kib();
  auto c = client();
  c.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n");
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 100 && c.send(piece); i++) {
  }
  EXPECT_TRUE(c.until("limit is 33554432").starts_with("HTTP/1.1 413 "));
  EXPECT_LT(resident_kib(), before + 16 * 1024);
  EXPECT_TRUE(c.closed_within(3000));
}

TEST_F(ServerTest, ManyBodiesAtOnceShareABudget) {
  ServerOptions options;
  options.max_buffered_bytes = 1 << 20;
  start(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; i++) {
    clients.push_back(client());
    clients.back().send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + std::string(800000, 'a'));
  }
  // Neither body is whole, so only a refusal is answered.
  std::size_t second = clients.size();
  for (int i = 0; i < 250 && second == clients.size(); i++) {
    if (clients[static_cast<std::size_t>(i % 2)].until("\r\n\r\n", 20).starts_with("HTTP/1.1 503 "))
      second = static_cast<std::size_t>(i % 2);
  }
  ASSERT_LT(second, clients.size()) << "whichever arrives second is refused";
  auto& first = clients[1 - second];
  first.send(std::string(100000, 'a'));
  EXPECT_TRUE(first.until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

TEST_F(ServerTest, SlowHeadsAndBodiesTimeOut) {
  ServerOptions options;
  options.header_timeout_s = 1;
  options.idle_timeout_s = 1;
  start(options);
  auto silent = client();
  auto head = client();
  auto body = client();
  head.send("GET / HTT");
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  std::atomic<bool> over = false;
  std::thread drip([&] {
    for (int i = 0; i < 30 && !over && head.send("a"); i++) std::this_thread::sleep_for(100ms);
  });
  EXPECT_TRUE(body.rest(2500).starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(silent.closed_within(2000));
  EXPECT_TRUE(head.rest(2500).starts_with("HTTP/1.1 408 ")) << "dripping bytes does not help";
  over = true;
  drip.join();
}

TEST_F(ServerTest, TooManyConnectionsAreTold) {
  ServerOptions options;
  options.max_connections = 3;
  start(options);
  std::vector<RawClient> clients;
  for (int i = 0; i < 3; i++) clients.push_back(client());
  ASSERT_TRUE(eventually([&] { return server_->open_connections() == 3; }));
  auto fourth = client();
  const std::string answer = fourth.rest(3000);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_NE(answer.find("retry-after: 1"), std::string::npos);
  clients.clear();
  ASSERT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
  auto fifth = client();
  fifth.send(echo("room"));
  EXPECT_TRUE(fifth.until("POST room").starts_with("HTTP/1.1 200"));
}

TEST_F(ServerTest, AThousandQuickConnections) {
  start();
  for (int i = 0; i < 1000; i++) {
    auto c = client();
    ASSERT_TRUE(c.connected());
    ASSERT_TRUE(c.send(echo("x", "Connection: close\r\n")));
    if (i % 3 == 0) continue;  // leaves without reading
    ASSERT_TRUE(c.rest().ends_with("POST x")) << i;
  }
  EXPECT_TRUE(eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(ServerTest, AHandlerThatThrowsOrForgetsIsA500WithoutDetails) {
  start();
  for (const char* path : {"/throw", "/drop"}) {
    auto c = client();
    c.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string answer = c.rest();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 500 ")) << answer;
    EXPECT_EQ(answer.find("secret"), std::string::npos);
  }
}

TEST_F(ServerTest, AStreamThatIsForgottenIsSeenAsCutOff) {
  start();
  auto c = client();
  c.send(kHold);
  auto responder = held();
  responder->begin(200, {});
  responder->write("piece");
  c.until("piece");
  responder.reset();
  EXPECT_EQ(c.rest().find("0\r\n\r\n"), std::string::npos);
}

TEST_F(ServerTest, APortThatIsTakenIsNamed) {
  start();
  ServerOptions options;
  options.port = server_->port();
  try {
    Server::start(options, [](Request, std::shared_ptr<Responder>) {});
    FAIL() << "two servers on one port";
  } catch (const Error& e) {
    EXPECT_EQ(e.detail(), "port " + std::to_string(options.port) + " on 127.0.0.1 is taken by another program");
  }
  const auto port = server_->port();
  auto c = client();
  c.send(echo("x", "Connection: close\r\n"));
  c.rest();
  server_.reset();
  start(options);
  EXPECT_EQ(server_->port(), port) << "a port in TIME_WAIT is free";
}

TEST_F(ServerTest, HostsThatAreNoneAreRefusedAndIpv6Serves) {
  ServerOptions options;
  options.host = "no.such.host.invalid";
  EXPECT_THROW(start(options), Error);
  options.host = "192.0.2.1";
  EXPECT_THROW(start(options), Error);
  for (const char* host : {"::1", "[::1]", "::"}) {
    options.host = host;
    start(options);
    RawClient c(server_->port(), true);
    c.send(echo("six"));
    EXPECT_TRUE(c.until("POST six").starts_with("HTTP/1.1 200")) << host;
  }
  options.host = "localhost";
  start(options);
}

TEST_F(ServerTest, DrainLetsRunningAnswersEnd) {
  start();
  auto idle = client();
  auto busy = client();
  busy.send(kHold);
  const auto responder = held();
  responder->begin(200, {});
  std::thread ender([&] {
    std::this_thread::sleep_for(100ms);
    responder->write("done");
    responder->end();
    EXPECT_NE(busy.until("0\r\n\r\n").find("done"), std::string::npos);
    busy.close();
  });
  server_->drain(5000);
  EXPECT_EQ(left_, 0);
  EXPECT_TRUE(idle.closed_within(1000));
  EXPECT_FALSE(RawClient(server_->port()).connected());
  ender.join();
}

TEST_F(ServerTest, DrainDoesNotWaitForIdleClients) {
  start();
  auto idle = client();
  idle.send(echo("x"));
  idle.until("POST x");
  const auto begin = std::chrono::steady_clock::now();
  server_->drain(5000);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

TEST_F(ServerTest, DrainEndsWhatDoesNotEnd) {
  start();
  auto c = client();
  c.send(kHold);
  const auto responder = held();
  server_->drain(50);
  EXPECT_EQ(left_, 1);
  server_.reset();
  responder->send(200, {}, "nobody hears it");
}

TEST_F(ServerTest, AnswersFromManyThreadsReachTheirOwnClients) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  server_ = Server::start({}, [&](Request request, std::shared_ptr<Responder> responder) {
    const std::lock_guard lock(mutex);
    threads.emplace_back([path = request.path, responder] {
      responder->begin(200, {});
      for (int i = 0; i < 100; i++) responder->write(path + ";");
      responder->end();
    });
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 32; i++) {
    clients.emplace_back([&, i] {
      auto c = client();
      const std::string path = "/" + std::to_string(i);
      c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
      if (i % 3 == 0) return c.reset();
      const std::string answer = c.until("\r\n0\r\n\r\n");
      std::size_t count = 0;
      for (auto at = answer.find(path + ";"); at != std::string::npos; at = answer.find(path + ";", at + 1)) count++;
      EXPECT_EQ(count, 100u);
    });
  }
  for (auto& t : clients) t.join();
  server_->drain(1000);
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace glia::http
