// For tests: the whole face over real sockets, with a Runner that the test drives by hand.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/app.h"
#include "base/error.h"
#include "http/client.h"
#include "http/raw_client.h"

namespace glia::api {

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

inline const tasks::RunInfo kInfo{"@cf/meta/llama-3.1-8b-instruct", "Some-Weights", true, {}};

inline tasks::TextResult result(std::string text) {
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

}  // namespace glia::api
