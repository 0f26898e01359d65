#include "http/server.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/error.h"
#include "base/log.h"
#include "http/connection.h"

namespace glia::http {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
namespace {

/// Connections beyond the limit that are still told 503; past these a connection is just closed.
constexpr std::size_t kRefusedAtOnce = 64;

[[noreturn]] void cannot_listen(const ServerOptions& options, const error_code& ec) {
  const std::string where = options.host + ":" + std::to_string(options.port);
  if (ec == asio::error::address_in_use) {
    throw Error(ErrorCode::invalid_input,
                "port " + std::to_string(options.port) + " on " + options.host + " is taken by another program");
  }
  throw Error(ErrorCode::invalid_input, "cannot listen on " + where + " (" + ec.message() + ")");
}

tcp::endpoint resolve(asio::io_context& io, const ServerOptions& options) {
  std::string host = options.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  error_code ec;
  if (const auto address = asio::ip::make_address(host, ec); !ec) return {address, options.port};
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(options.port), tcp::resolver::passive, ec);
  if (ec || found.empty()) {
    throw Error(ErrorCode::invalid_input, "the host to listen on is not an address of this machine: " + options.host);
  }
  return found.begin()->endpoint();
}

class AsioServer final : public Server {
 public:
  AsioServer(const ServerOptions& options, Handler handler) : acceptor_(io_), retry_(io_) {
    host_.options = options;
    host_.handler = std::move(handler);
    host_.opened = [this](Connection* c) {
      connections_.insert(c);
      count_changed();
    };
    host_.closed = [this](Connection* c) {
      connections_.erase(c);
      count_changed();
    };
    listen(options);
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { run(); });
  }

  // NOLINTNEXTLINE(bugprone-exception-escape): only memory can be short, and then nothing is left to save
  ~AsioServer() override {
    drain(0);
    work_.reset();
    thread_.join();
  }

  std::uint16_t port() const override { return port_; }
  std::size_t open_connections() const override { return count_.load(); }

  void drain(int grace_ms) override {
    asio::post(io_, [this] {
      host_.draining = true;
      error_code ec;
      acceptor_.close(ec);
      retry_.cancel();
      for (Connection* c : connections_) c->nudge();
    });
    std::unique_lock lock(mutex_);
    const auto none_left = [this] { return accept_ended_ && count_.load() == 0; };
    if (closed_.wait_for(lock, std::chrono::milliseconds(grace_ms), none_left)) return;
    asio::post(io_, [this] {
      for (Connection* c : connections_) c->close_now();
    });
    closed_.wait(lock, none_left);
  }

 private:
  /// Only memory can be short in an operation's own callback; the others go on.
  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception&) {
        log::error("an operation was dropped: out of memory");
      }
    }
  }

  void listen(const ServerOptions& options) {
    const tcp::endpoint endpoint = resolve(io_, options);
    error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && endpoint.address().is_v6() && endpoint.address().is_unspecified()) {
      acceptor_.set_option(asio::ip::v6_only(false), ec);
    }
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(1024, ec);
    if (ec) cannot_listen(options, ec);
    port_ = acceptor_.local_endpoint().port();
  }

  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      auto [ec, socket] = co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
      if (!acceptor_.is_open()) break;
      if (ec) {
        // Out of descriptors or a client that left at once: the former needs a moment.
        retry_.expires_after(std::chrono::milliseconds(20));
        co_await retry_.async_wait(asio::as_tuple(asio::use_awaitable));
        continue;
      }
      const std::size_t open = connections_.size();
      if (open >= host_.options.max_connections + kRefusedAtOnce) continue;  // the socket closes here
      const auto mode = open < host_.options.max_connections ? Connection::Mode::serve : Connection::Mode::refuse;
      try {
        std::make_shared<Connection>(std::move(socket), host_)->start(mode);
      } catch (const std::exception&) {
        log::error("a connection was not taken: out of memory");
      }
    }
    const std::lock_guard lock(mutex_);
    accept_ended_ = true;
    closed_.notify_all();
  }

  void count_changed() {
    const std::lock_guard lock(mutex_);
    count_ = connections_.size();
    closed_.notify_all();
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  ConnectionHost host_;
  std::unordered_set<Connection*> connections_;  ///< I/O thread
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::condition_variable closed_;
  bool accept_ended_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Server> Server::start(const ServerOptions& options, Handler handler) {
  return std::make_unique<AsioServer>(options, std::move(handler));
}

}  // namespace glia::http
