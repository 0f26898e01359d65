// What the ledger costs, over real HTTP with a model that answers at once:
//   overhead <pairs>    median milliseconds of a billed request less those of an unbilled one, request by request in
//   turn rate <seconds>      billed requests a second of 64 clients, each waiting for its answer
// Prints one number.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "http/raw_client.h"
#include "quota_rig.h"

namespace {

using namespace glia;
using Clock = std::chrono::steady_clock;

std::string request_bytes(const cli::QuotaRig& rig) {
  const std::string body = R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":8,"seed":8})";
  return "POST /client/v4/accounts/bench/ai/run/" + std::string(rig.kModel) +
         " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(rig.port()) +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// A whole answer ends with the envelope's last member, the messages.
bool ask(http::RawClient& client, const std::string& request) {
  return client.send(request) && client.until(R"("success":true)").ends_with("true") &&
         client.until("\"messages\":[").ends_with("[") && client.until("]}").ends_with("]}");
}

double timed_ms(http::RawClient& client, const std::string& request) {
  const auto start = Clock::now();
  if (!ask(client, request)) std::exit(1);
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double overhead(int pairs) {
  cli::QuotaRig billed({.plan = ledger::Plan::free});
  cli::QuotaRig unbilled({.metered = false});
  http::RawClient a(billed.port());
  http::RawClient b(unbilled.port());
  const auto request_a = request_bytes(billed);
  const auto request_b = request_bytes(unbilled);
  std::vector<double> differences;
  for (int i = -20; i < pairs; ++i) {
    const double x = timed_ms(a, request_a);
    const double y = timed_ms(b, request_b);
    if (i >= 0) differences.push_back(x - y);
  }
  std::nth_element(differences.begin(), differences.begin() + pairs / 2, differences.end());
  return differences[static_cast<std::size_t>(pairs / 2)];
}

double rate(int seconds) {
  constexpr int kClients = 64;
  cli::QuotaRig rig({.plan = ledger::Plan::paid});
  const auto request = request_bytes(rig);
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> answers{0};
  std::vector<std::thread> clients;
  const auto start = Clock::now();
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&] {
      http::RawClient client(rig.port());
      while (!stop) {
        if (!ask(client, request)) std::exit(1);
        ++answers;
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  stop = true;
  for (auto& c : clients) c.join();
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  if (rig.ledger().usage("bench", 2).at(0).calls != answers) {
    std::fprintf(stderr, "the ledger does not match the answers\n");
    std::exit(1);
  }
  return static_cast<double>(answers) / elapsed;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc == 3 ? argv[1] : "";
  const int amount = argc == 3 ? std::atoi(argv[2]) : 0;
  if (amount < 1 || (what != "overhead" && what != "rate")) {
    std::fprintf(stderr, "usage: quota_bench overhead PAIRS | rate SECONDS\n");
    return 2;
  }
  std::printf("%.4f\n", what == "overhead" ? overhead(amount) : rate(amount));
  return 0;
}
