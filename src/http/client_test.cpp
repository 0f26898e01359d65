#include "http/client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace glia::http {
namespace {

using namespace std::chrono_literals;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    server_ = Server::start({}, [this](Request request, std::shared_ptr<Responder> responder) {
      if (request.path == "/silent") {
        held_ = std::move(responder);
      } else if (request.path == "/stream") {
        responder->begin(200, {{"content-type", "text/event-stream"}});
        for (int i = 0; i < 3; i++) responder->write("data: " + std::to_string(i) + "\n\n");
        responder->end();
      } else if (request.path == "/cut") {
        responder->begin(200, {});
        responder->write("half");
      } else {
        responder->send(request.path == "/missing" ? 404 : 200, {{"X-Method", request.method}},
                        request.target + "|" + request.body);
      }
    });
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }

  std::shared_ptr<Responder> held_;
  std::unique_ptr<Server> server_;
  std::string base_;
};

TEST_F(ClientTest, GetsAndPosts) {
  const ClientResponse answer = post(base_ + "/a?b=c", R"({"x":1})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"(/a?b=c|{"x":1})");
  EXPECT_EQ(answer.header("x-method"), "POST");
  EXPECT_EQ(get(base_ + "/missing").status, 404);
  EXPECT_EQ(get(base_ + "?q").body, "/?q|");
  EXPECT_EQ(request("HEAD", base_ + "/x").body, "");
  EXPECT_EQ(post(base_ + "/x", std::string(5 << 20, 'x')).body.size(), (5u << 20) + 3);
}

TEST_F(ClientTest, StreamsAndCanStop) {
  std::string seen;
  get(base_ + "/stream", [&](std::string_view piece) {
    seen += piece;
    return true;
  });
  EXPECT_EQ(seen, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  int calls = 0;
  get(base_ + "/stream", [&](std::string_view) {
    calls++;
    return false;
  });
  EXPECT_EQ(calls, 1);
}

Unreachable::Why why(const std::string& url) {
  try {
    get(url, {}, {.idle_timeout_ms = 200});
  } catch (const Unreachable& e) {
    EXPECT_FALSE(e.detail().empty());
    return e.why;
  }
  ADD_FAILURE() << "an answer from " << url;
  return {};
}

TEST_F(ClientTest, SaysWhyThereIsNoAnswer) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(why("http://127.0.0.1:1/"), Unreachable::Why::refused);
  EXPECT_EQ(why("http://no.such.host.invalid/"), Unreachable::Why::refused);
  EXPECT_EQ(why(base_ + "/silent"), Unreachable::Why::timed_out);
  EXPECT_EQ(why(base_ + "/cut"), Unreachable::Why::cut_off);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  EXPECT_THROW(get("https://127.0.0.1/"), Error);
}

}  // namespace
}  // namespace glia::http
