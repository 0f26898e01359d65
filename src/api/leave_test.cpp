// Clients that leave, read slowly, or are still there when the server is not.
#include "api/app_fixture.h"

namespace glia::api {
namespace {

using LeaveTest = AppTest;

TEST_F(LeaveTest, AClientThatLeavesCancelsItsRunAtOnce) {
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

TEST_F(LeaveTest, ASlowReaderCancelsItsRunToo) {
  auto client = ask(true);
  const auto sink = runner.take();
  ASSERT_TRUE(sink);
  sink->started(kInfo);
  for (int i = 0; i < 2000 && runner.cancels == 0; i++) sink->text(std::string(16384, 'x'));
  EXPECT_TRUE(eventually([&] { return runner.cancels == 1; }));
  sink->cancelled(result(""));
}

TEST_F(LeaveTest, ARunMayEndAfterTheServerAndTheAppAreGone) {
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

TEST_F(LeaveTest, ManyClientsAtOnceWithAThirdThatLeaves) {
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
