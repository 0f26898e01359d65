// The whole face over real sockets, with a Runner that the test drives by hand.
#include "api/app.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "http/client.h"
#include "http/raw_client.h"

namespace glia::api {
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

class HandRun final : public tasks::Run {
 public:
  explicit HandRun(std::atomic<int>& cancels) : cancels_(cancels) {}
  void cancel() override { cancels_++; }

 private:
  std::atomic<int>& cancels_;
};

class HandRunner final : public tasks::Runner {
 public:
  std::shared_ptr<tasks::Run> run(tasks::RunRequest request, std::shared_ptr<tasks::RunSink> sink) override {
    const std::lock_guard lock(mutex);
    requests.push_back(std::move(request));
    sinks.push_back(std::move(sink));
    return std::make_shared<HandRun>(cancels);
  }
  std::shared_ptr<tasks::RunSink> take() {
    std::shared_ptr<tasks::RunSink> out;
    eventually([&] {
      const std::lock_guard lock(mutex);
      if (sinks.empty()) return false;
      out = std::move(sinks.front());
      sinks.erase(sinks.begin());
      return true;
    });
    return out;
  }

  std::mutex mutex;
  std::vector<tasks::RunRequest> requests;
  std::vector<std::shared_ptr<tasks::RunSink>> sinks;
  std::atomic<int> cancels{0};
};

const tasks::RunInfo kInfo{"@cf/meta/llama-3.1-8b-instruct", "Some-Weights", true, {}};

tasks::TextResult result(std::string text) {
  tasks::TextResult r;
  r.text = std::move(text);
  r.finish_reason = "stop";
  r.usage = {7, 3, 0};
  r.neurons = 0.25;
  r.first_token_ms = 10;
  r.total_ms = 30;
  return r;
}

class AppTest : public testing::Test {
 protected:
  AppTest() {
    Services services;
    services.runner = &runner;
    services.catalog = &catalog;
    services.clock = &clock;
    services.ready = [this] { return ready.load(); };
    app = std::make_unique<App>(services, AppInfo{"1.2.3", "cpu", "tiny", "127.0.0.1"});
    http::ServerOptions options;
    options.max_pending_bytes = 256 << 10;
    options.refusal = app->refusal();
    server = http::Server::start(options, app->handler());
  }
  ~AppTest() override {
    server.reset();
    app.reset();
  }

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(server->port()) + path; }

  /// A run sent by hand, so that the client can leave when the test says so.
  http::RawClient ask(bool stream, const std::string& target = "/run?version=3", const std::string& prompt = "x") {
    http::RawClient client(server->port());
    const std::string body =
        R"({"inputs":{"prompt":")" + prompt + R"(","stream":)" + (stream ? "true" : "false") + "}}";
    client.send("POST " + target +
                " HTTP/1.1\r\nHost: localhost\r\nMF-URL: https://workers-binding.ai/run?version=3\r\n"
                "MF-Header-cf-consn-model-id: @cf/meta/llama-3.1-8b-instruct\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    return client;
  }

  SystemClock clock;
  std::atomic<bool> ready{true};
  catalog::Catalog catalog = catalog::Catalog::load();
  HandRunner runner;
  std::unique_ptr<App> app;
  std::unique_ptr<http::Server> server;
};

TEST_F(AppTest, AClientThatLeavesCancelsItsRunAtOnce) {
  for (const bool streaming : {false, true}) {
    auto client = ask(streaming);
    const auto sink = runner.take();
    ASSERT_TRUE(sink);
    if (streaming) {
      sink->started(kInfo);
      sink->text("piece");
      EXPECT_NE(client.until("piece").find("200 OK"), std::string::npos);
    }
    const int before = runner.cancels;
    const auto start = std::chrono::steady_clock::now();
    client.close();
    EXPECT_TRUE(eventually([&] { return runner.cancels == before + 1; }));
    EXPECT_LT(std::chrono::steady_clock::now() - start, 200ms);
    sink->text("more");
    sink->cancelled(result("piecemore"));
  }
  const std::string metrics = http::get(url("/metrics")).body;
  EXPECT_NE(metrics.find(R"(status="499"} 2)"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find(R"(outcome="cancelled"} 1)"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("glia_runs_in_flight 0"), std::string::npos) << metrics;
}

TEST_F(AppTest, ASlowReaderCancelsItsRunToo) {
  auto client = ask(true);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  for (int i = 0; i < 2000 && runner.cancels == 0; i++) sink->text(std::string(16384, 'x'));
  EXPECT_TRUE(eventually([&] { return runner.cancels == 1; }));
  sink->cancelled(result(""));
}

TEST_F(AppTest, EachPieceReachesTheClientByItself) {
  auto client = ask(true);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->text("a");
  EXPECT_NE(client.until("data: {\"response\":\"a\"}\n\n").find("content-type: text/event-stream\r\n"),
            std::string::npos);
  sink->text("b");
  EXPECT_NE(client.until("\"b\"}\n\n").find("data"), std::string::npos);
  sink->finished(result("ab"));
  EXPECT_NE(client.until("0\r\n\r\n").find("data: [DONE]\n\n"), std::string::npos);
  EXPECT_EQ(runner.cancels, 0);
}

TEST_F(AppTest, RequestIdsAreOursAndReachTheLedgersKey) {
  auto client = ask(false);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->finished(result("x"));
  const std::string id = runner.requests[0].request_id;
  EXPECT_EQ(id.size(), 32u);
  EXPECT_NE(client.until("total_tokens").find("cf-ai-req-id: " + id), std::string::npos);
}

TEST_F(AppTest, ASessionHearsOfItsCalls) {
  const auto created = http::post(url("/glia/v1/sessions"), R"({"account":"mine","bindings":{}})");
  const auto body = parse_json(created.body);
  const std::string id(body.at("session").as_string());
  http::RawClient events(server->port());
  events.send("GET /glia/v1/sessions/" + id + "/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_NE(events.until(":\n\n").find("text/event-stream"), std::string::npos) << "headers and a first byte at once";
  EXPECT_EQ(app->leases().open, 1u);

  auto client = ask(false, "/bind/" + id);
  auto sink = runner.take();
  ASSERT_TRUE(sink);
  EXPECT_EQ(runner.requests[0].account, "mine");
  sink->started(kInfo);
  sink->finished(result("x"));
  EXPECT_NE(events.until("\n\n").find(
                R"({"model":"@cf/meta/llama-3.1-8b-instruct","weights":"Some-Weights","stand_in":true,"status":"ok",)"
                R"("code":null,"message":null,"first_token_ms":1E1,"tokens_per_s":1E2,"prompt_tokens":7,)"
                R"("completion_tokens":3,"neurons":2.5E-1,"total_ms":3E1})"),
            std::string::npos);
  auto second = ask(false, "/bind/" + id);
  sink = runner.take();
  sink->failed(Error(ErrorCode::context_too_long));
  EXPECT_NE(events.until("\n\n").find(R"("status":"error","code":5021)"), std::string::npos);

  events.close();
  EXPECT_TRUE(eventually([&] { return app->leases().open == 0; }));
  EXPECT_TRUE(app->leases().ever);
}

TEST_F(AppTest, ClosingSessionsEndsTheirStreamsSoThatADrainNeedNotWait) {
  const auto body = parse_json(http::post(url("/glia/v1/sessions"), "{}").body);
  http::RawClient events(server->port());
  events.send("GET /glia/v1/sessions/" + std::string(body.at("session").as_string()) +
              "/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  events.until(":\n\n");
  app->close_sessions();
  EXPECT_EQ(events.until("0\r\n\r\n").find("data"), std::string::npos);
}

TEST_F(AppTest, HealthTellsOfLoading) {
  ready = false;
  const auto answer = http::get(url("/health"));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(answer.body, R"({"status":"loading"})");
}

TEST_F(AppTest, LogsHoldNoPromptAnswerOrQuery) {
  testing::internal::CaptureStderr();
  auto client = ask(true, "/?secret-query=1", "secret-prompt");
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->text("secret-answer");
  sink->finished(result("secret-answer"));
  client.until("0\r\n\r\n");
  const std::string body = R"({"prompt":"secret-prompt"})";
  client.send("POST /client/v4/accounts/a/ai/run/@cf/x%0Ainjected HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const auto second = runner.take();
  ASSERT_TRUE(second);
  second->failed(Error(ErrorCode::no_such_model, "@cf/x"));
  client.until("No such model");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("tokens=7+3"), std::string::npos) << log;
  EXPECT_NE(log.find("nearest="), std::string::npos) << log;
  EXPECT_EQ(log.find("\ninjected"), std::string::npos) << log;
  EXPECT_EQ(log.find("secret"), std::string::npos) << log;
}

TEST_F(AppTest, WhatTheServerRefusesHasTheDialectsShape) {
  http::RawClient client(server->port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n");
  EXPECT_NE(client.rest().find(R"({"error":{"message":"Request is too large: )"), std::string::npos);
  http::RawClient other(server->port());
  other.send("nonsense\r\n\r\n");
  EXPECT_NE(other.rest().find(R"({"error":{"code":3003)"), std::string::npos);
}

TEST_F(AppTest, ARunMayEndAfterTheServerAndTheAppAreGone) {
  auto client = ask(true);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  sink->text("piece");
  server.reset();
  app.reset();
  EXPECT_EQ(runner.cancels, 1);
  sink->cancelled(result("piece"));
}

TEST_F(AppTest, ManyClientsAtOnceWithAThirdThatLeaves) {
  std::atomic<bool> stop{false};
  std::thread engine([&] {
    while (!stop) {
      std::vector<std::shared_ptr<tasks::RunSink>> sinks;
      {
        const std::lock_guard lock(runner.mutex);
        sinks.swap(runner.sinks);
      }
      for (const auto& sink : sinks) {
        sink->started(kInfo);
        for (int i = 0; i < 20; i++) sink->text("piece ");
        sink->finished(result("done"));
      }
      std::this_thread::sleep_for(1ms);
    }
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 32; i++) {
    clients.emplace_back([&, i] {
      auto client = ask(i % 2 == 0);
      if (i % 3 == 0) return client.reset();
      const std::string mark = i % 2 == 0 ? "[DONE]" : "\"usage\"";
      EXPECT_NE(client.until(mark).find(mark), std::string::npos) << i;
    });
  }
  for (auto& thread : clients) thread.join();
  EXPECT_TRUE(eventually([&] { return server->open_connections() == 0; }));
  stop = true;
  engine.join();
}

}  // namespace
}  // namespace glia::api
