// How a connection moves bytes; connection.cpp decides which.
#include <array>
#include <tuple>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "http/connection.h"

namespace glia::http {
namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kReadAhead = 64 << 10;
constexpr seconds kLinger{2};  ///< for the client to take a last answer and close
constexpr std::chrono::milliseconds kLingerDraining{200};

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Connection::Next Connection::cut_off(std::string_view why) {
  log::warn(why, {{"remote", remote_}});
  error_code ec;
  socket_.set_option(asio::socket_base::linger(true, 0), ec);  // a reset: the client must not take it for the end
  return Next::drop;
}

std::string Connection::head_bytes(int status, BodyFraming framing, std::size_t length, bool http_1_0,
                                   const Headers& headers) {
  AnswerHead head;
  head.status = status;
  head.framing = is_bodiless(status) ? BodyFraming::none : framing;
  head.length = length;
  head.http_1_0 = http_1_0;
  head.close = close_after_;
  head.upgrade = status == 101;
  head.unix_s = unix_seconds();
  return format_head(head, headers);
}

asio::awaitable<bool> Connection::flush(std::string bytes) {
  out_ += bytes;
  last_progress_ = Clock::now();
  for (;;) {
    pump_write();
    if (flight_.empty()) co_return true;
    const Time deadline = last_progress_ + kLinger;
    if (lost() || Clock::now() >= deadline) co_return false;
    co_await pause(deadline);
  }
}

asio::awaitable<Connection::Next> Connection::refuse(const Refusal& refusal, RequestReader& reader) {
  const Request& head = reader.request();
  close_after_ = true;
  Headers headers{{"content-type", "text/plain"}};
  std::string body = refusal.reason + "\n";
  if (host_.options.refusal) std::tie(headers, body) = host_.options.refusal(refusal.status, refusal.reason, head);
  if (refusal.status == 503) headers.emplace_back("retry-after", "1");
  std::string bytes = head_bytes(refusal.status, BodyFraming::length, body.size(), reader.http_1_0(), headers);
  if (head.method != "HEAD") bytes += body;
  co_return co_await flush(std::move(bytes)) ? Next::linger : Next::drop;
}

/// Closes our side, then discards what still comes: closing with unread bytes would reset the connection, and the
/// client could lose the answer it was just given.
asio::awaitable<void> Connection::linger() {
  error_code ec;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  const Time deadline = Clock::now() + (host_.draining ? kLingerDraining : kLinger);
  while (!ec && !lost() && !read_closed_ && Clock::now() < deadline) {
    in_.clear();
    pump_read();
    co_await pause(deadline);
  }
}

asio::awaitable<void> Connection::pause(Time deadline) {
  if (!woken_) {
    timer_.expires_at(deadline);
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  woken_ = false;
}

void Connection::wake() {
  woken_ = true;
  timer_.cancel();
}

void Connection::pump_read() {
  if (reading_ || read_closed_ || read_failed_ || aborted_ || in_.size() >= kReadAhead) return;
  reading_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](error_code ec) {
    self->reading_ = false;
    while (!ec && self->in_.size() < kReadAhead) {
      auto& scratch = self->host_.scratch;
      const std::size_t n = self->socket_.read_some(asio::buffer(scratch.data(), scratch.size()), ec);
      if (!ec) self->in_.append(scratch.data(), n);
    }
    if (ec == asio::error::eof) {
      self->read_closed_ = true;
    } else if (ec && ec != asio::error::would_block) {
      self->read_failed_ = true;
    }
    self->wake();
  });
}

void Connection::pump_write() {
  if (!flight_.empty() || out_.empty() || write_failed_ || aborted_) return;
  flight_ = std::exchange(out_, {});
  flight_payload_ = std::exchange(out_payload_, 0);
  flight_done_ = 0;
  last_progress_ = Clock::now();
  continue_write();
}

void Connection::continue_write() {
  socket_.async_write_some(asio::buffer(flight_.data() + flight_done_, flight_.size() - flight_done_),
                           [self = shared_from_this()](error_code ec, std::size_t n) {
                             self->last_progress_ = Clock::now();
                             self->flight_done_ += n;
                             self->write_failed_ = static_cast<bool>(ec);
                             if (!ec && self->flight_done_ < self->flight_.size()) return self->continue_write();
                             if (!ec) self->flight_.clear();
                             if (self->exchange_) self->exchange_->taken_by_client(self->flight_payload_);
                             self->wake();
                           });
}

}  // namespace glia::http
