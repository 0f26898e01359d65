// One client's connection: reads requests one after another, hands each to the handler, writes its answer.
//
// A coroutine decides what comes next; two small pumps move bytes, each with at most one operation under way, so that
// the connection hears of a client that leaves while it waits for an answer or writes one. Bytes that arrive early
// (pipelining) wait in a buffer that stops growing at kReadAhead.
// Ownership: lives as long as its coroutine and operations. Thread rule: the I/O thread only.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "http/answer_head.h"
#include "http/byte_count.h"
#include "http/exchange.h"
#include "http/request_reader.h"
#include "http/server.h"

namespace glia::http {

class Connection;

/// What connections share; owned by the server, which outlives them. I/O thread only.
struct ConnectionHost {
  ServerOptions options;
  Handler handler;
  std::array<char, 65536> scratch{};  ///< reads land here first: an idle connection holds no buffer
  std::shared_ptr<ByteCount> buffered = std::make_shared<ByteCount>(0);  ///< of bodies
  std::shared_ptr<ByteCount> pending = std::make_shared<ByteCount>(0);   ///< of answers that wait for their clients
  bool draining = false;
  std::function<void(Connection*)> opened;
  std::function<void(Connection*)> closed;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Mode { serve, refuse };  ///< refuse: answers 503 and closes

  Connection(boost::asio::ip::tcp::socket socket, ConnectionHost& host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start(Mode mode);
  /// Looks at the host's draining flag now.
  void nudge() { wake(); }
  /// Ends it at once, whatever it does.
  void close_now();

 private:
  using Time = std::chrono::steady_clock::time_point;
  enum class Next { go_on, linger, drop };
  struct Receiving;

  boost::asio::awaitable<Next> refuse_body(Receiving& receiving, RequestReader& reader);
  boost::asio::awaitable<void> run(Mode mode);
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<Next> read_request(RequestReader& reader, bool first);
  boost::asio::awaitable<Next> answer(RequestReader& reader);
  boost::asio::awaitable<bool> flush(std::string bytes);
  boost::asio::awaitable<void> linger();
  /// Answers by itself; the connection ends after it.
  boost::asio::awaitable<Next> refuse(const Refusal& refusal, RequestReader& reader);
  /// Sleeps until something happened or `deadline` passed.
  boost::asio::awaitable<void> pause(Time deadline);

  void call_handler(RequestReader& reader, const std::shared_ptr<Exchange>& exchange);
  /// Hands on what arrived after a switch of protocols.
  void hand_on();
  void queue_news(Exchange::News& news, bool head_only, bool http_1_0);
  Next cut_off(std::string_view why);
  void pump_read();
  void pump_write();
  void continue_write();
  void wake();
  bool lost() const { return read_failed_ || write_failed_ || aborted_; }
  std::string head_bytes(int status, BodyFraming framing, std::size_t length, bool http_1_0, const Headers& headers);

  boost::asio::ip::tcp::socket socket_;
  ConnectionHost& host_;
  boost::asio::steady_timer timer_;
  std::string remote_;

  std::string in_;      ///< arrived and not yet read
  std::string out_;     ///< framed, waits for the pump
  std::string flight_;  ///< being written
  std::size_t flight_done_ = 0;
  std::size_t out_payload_ = 0;  ///< handler's bytes in out_, and in flight_
  std::size_t flight_payload_ = 0;
  std::shared_ptr<Exchange> exchange_;
  BodyFraming framing_ = BodyFraming::none;
  std::function<void(std::string_view)> received_;  ///< after a switch of protocols: where what arrives goes

  Time last_progress_{};
  bool woken_ = false;
  bool reading_ = false;
  bool read_closed_ = false;  ///< the client will send no more
  bool read_failed_ = false;
  bool write_failed_ = false;
  bool aborted_ = false;
  bool close_after_ = false;
};

}  // namespace glia::http
