// Many clients of a glia serve, on one thread, each with a connection of its own and one streamed request at a time.
// Prints one line of JSON: how the requests ended, milliseconds to the first piece and between pieces, and this
// program's own processor time, which it takes from the server where they share the cores.
// usage: glia_load PORT PROMPTS CLIENTS REQUESTS [leave=SHARE] [pause_ms=N] [seconds=N]
//   PROMPTS: a line each, {"content": "…", "max_tokens": N}; asked in order, from the first again after the last
//   leave: the share of requests whose client goes away in the middle · pause_ms: of a client that was refused
//   seconds: begin nothing after them
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>

#include "base/json.h"
#include "client.h"

namespace {

using namespace glia;
using bench::Client;
using Clock = Client::Clock;

struct Options {
  std::uint16_t port = 0;
  std::string prompts;
  int clients = 1;
  int requests = 1;
  double leave = 0;
  int pause_ms = 100;
  double seconds = 600;
};

struct Prompt {
  std::string request;  ///< the bytes
  int max_tokens = 0;
};

std::vector<Prompt> read_prompts(const Options& options) {
  std::vector<Prompt> prompts;
  std::ifstream in(options.prompts);
  for (std::string line; std::getline(in, line);) {
    const auto asked = parse_json(line);
    const auto max_tokens = asked.at("max_tokens").to_number<int>();
    const json::object user{{"role", "user"}, {"content", asked.at("content")}};
    const std::string body = json::serialize(json::object{
        {"messages", json::array{user}}, {"max_tokens", max_tokens}, {"temperature", 0}, {"stream", true}});
    prompts.push_back(
        {"POST /client/v4/accounts/bench/ai/run/@cf/meta/llama-3.1-8b-instruct HTTP/1.1\r\n"
         "Host: 127.0.0.1:" +
             std::to_string(options.port) +
             "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
         max_tokens});
  }
  if (prompts.empty()) throw std::runtime_error("no prompts in " + options.prompts);
  return prompts;
}

class Load {
 public:
  explicit Load(const Options& options) : options_(options), prompts_(read_prompts(options)) {
    for (int i = 0; i < options.clients; i++) clients_.push_back({std::make_unique<Client>(options.port, figures_)});
  }

  double run() {
    const auto start = Clock::now();
    stop_ = start + std::chrono::microseconds(static_cast<std::int64_t>(options_.seconds * 1e6));
    for (std::size_t i = 0; i < clients_.size(); i++) begin(i);
    while (busy_ > 0 || paused()) {
      std::array<epoll_event, 256> events;
      const int n = ::epoll_wait(epoll_, events.data(), events.size(), paused() ? 5 : 1000);
      for (int e = 0; e < n; e++) {
        const auto i = static_cast<std::size_t>(events[static_cast<std::size_t>(e)].data.u64);
        if (!clients_[i].busy) continue;
        if (const auto outcome = clients_[i].client->ready()) over(i, *outcome);
      }
      resume();
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  bench::Figures& figures() { return figures_; }

 private:
  struct Place {
    std::unique_ptr<Client> client;
    bool busy = false;
    Clock::time_point resume_at = {};  ///< of a client that was refused
  };

  bool more() const { return begun_ < options_.requests && Clock::now() < stop_; }
  bool paused() const { return waiting_ > 0 && more(); }

  void begin(std::size_t i) {
    if (!more()) return;
    const auto& prompt = prompts_[static_cast<std::size_t>(begun_++) % prompts_.size()];
    const bool leaves = std::bernoulli_distribution(options_.leave)(random_);
    const int after = leaves ? std::uniform_int_distribution(1, std::max(1, prompt.max_tokens / 4))(random_) : 0;
    auto& place = clients_[i];
    if (!place.client->ask(prompt.request, after, begun_ % 2 == 0)) throw std::runtime_error("cannot connect");
    place.busy = true;
    busy_++;
    // Edge-triggered: writable once connected, readable with every arrival. A new socket is watched anew.
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = i}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, place.client->fd(), &event) != 0) {
      ::epoll_ctl(epoll_, EPOLL_CTL_MOD, place.client->fd(), &event);
    }
  }

  void over(std::size_t i, bench::Outcome outcome) {
    clients_[i].busy = false;
    busy_--;
    if (outcome != bench::Outcome::refused) return begin(i);
    clients_[i].resume_at = Clock::now() + std::chrono::milliseconds(options_.pause_ms);
    waiting_++;
  }

  void resume() {
    if (waiting_ == 0) return;
    const auto now = Clock::now();
    for (std::size_t i = 0; i < clients_.size(); i++) {
      auto& place = clients_[i];
      if (place.resume_at == Clock::time_point{} || now < place.resume_at) continue;
      place.resume_at = {};
      waiting_--;
      begin(i);
    }
  }

  const Options options_;
  const std::vector<Prompt> prompts_;
  bench::Figures figures_;
  std::vector<Place> clients_;
  std::mt19937 random_{1};
  Clock::time_point stop_;
  int begun_ = 0, busy_ = 0, waiting_ = 0;
  const int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
};

json::object spread(std::vector<double>& ms) {
  if (ms.empty()) return {{"count", 0}, {"p50", 0}, {"p90", 0}, {"p99", 0}, {"most", 0}};
  std::sort(ms.begin(), ms.end());
  const auto at = [&](double f) {
    const auto rank = static_cast<std::size_t>(std::ceil(f * static_cast<double>(ms.size())));
    return ms[std::max<std::size_t>(rank, 1) - 1];
  };
  return {{"count", ms.size()}, {"p50", at(0.5)}, {"p90", at(0.9)}, {"p99", at(0.99)}, {"most", ms.back()}};
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

Options parse(int argc, char** argv) {
  if (argc < 5)
    throw std::runtime_error("usage: glia_load PORT PROMPTS CLIENTS REQUESTS [leave=] [pause_ms=] [seconds=]");
  Options options{.port = static_cast<std::uint16_t>(std::stoi(argv[1])),
                  .prompts = argv[2],
                  .clients = std::stoi(argv[3]),
                  .requests = std::stoi(argv[4])};
  for (int i = 5; i < argc; i++) {
    const std::string word = argv[i];
    const auto equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("NAME=VALUE is expected, not " + word);
    const double value = std::stod(word.substr(equals + 1));
    const std::string name = word.substr(0, equals);
    if (name == "leave")
      options.leave = value;
    else if (name == "pause_ms")
      options.pause_ms = static_cast<int>(value);
    else if (name == "seconds")
      options.seconds = value;
    else
      throw std::runtime_error("there is no option " + name);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  Load load(parse(argc, argv));
  const double before = cpu_seconds();
  const double seconds = load.run();
  auto& f = load.figures();
  std::cout << json::serialize(json::object{{"seconds", seconds},
                                            {"finished", f.finished},
                                            {"left", f.left},
                                            {"refused", f.refused},
                                            {"failed", f.failed},
                                            {"failure", f.failure},
                                            {"tokens", f.tokens},
                                            {"first_ms", spread(f.first_ms)},
                                            {"between_ms", spread(f.between_ms)},
                                            {"refused_ms", spread(f.refused_ms)},
                                            {"cpu_s", cpu_seconds() - before}})
            << std::endl;
  return 0;
} catch (const std::exception& e) {
  std::cerr << "glia_load: " << e.what() << "\n";
  return 1;
}
