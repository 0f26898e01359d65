#include "http/connection.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace glia::http {
namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

namespace {

constexpr seconds kLong{3600};  ///< any; something wakes the connection before

// Named, not temporaries: GCC 12 destroys a brace-initialised temporary of a co_await expression twice.
const Refusal kConnections{503, "too many connections"};
const Refusal kBodies{503, "too many request bodies at once"};
const Refusal kSlowHead{408, "the request head came too slowly"};
const Refusal kSlowBody{408, "the body came too slowly"};

std::int64_t steady_ns(Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, ConnectionHost& host)
    : socket_(std::move(socket)), host_(host), timer_(socket_.get_executor()) {
  error_code ec;
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
  socket_.non_blocking(true, ec);
  const auto peer = socket_.remote_endpoint(ec);
  if (!ec) remote_ = peer.address().to_string();
  host_.opened(this);
}

Connection::~Connection() { host_.closed(this); }

void Connection::start(Mode mode) {
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this(), mode]() { return self->run(mode); }, asio::detached);
}

void Connection::close_now() {
  aborted_ = true;
  error_code ec;
  socket_.close(ec);
  wake();
}

asio::awaitable<void> Connection::run(Mode mode) {
  const auto self = shared_from_this();  // the spawned lambda ends before the coroutine does
  try {
    if (mode == Mode::refuse) {
      RequestReader nothing({});
      if (co_await refuse(kConnections, nothing) == Next::linger) co_await linger();
    } else {
      co_await serve();
    }
  } catch (const std::exception&) {
    // Only memory can be short here; this client is let go and the others stay.
    log::error("a connection was dropped: out of memory");
  }
  if (exchange_) exchange_->finish(true);
  received_ = nullptr;
  error_code ec;
  socket_.close(ec);
}

asio::awaitable<void> Connection::serve() {
  const ReaderLimits limits{.max_header_bytes = host_.options.max_header_bytes,
                            .max_body_bytes = host_.options.max_body_bytes};
  for (bool first = true;; first = false) {
    RequestReader reader(limits);
    Next next = co_await read_request(reader, first);
    if (next == Next::go_on) next = co_await answer(reader);
    if (next == Next::drop) co_return;
    if (next == Next::linger) break;
  }
  co_await linger();
}

/// The deadlines and the budget of one request that is being received.
struct Connection::Receiving {
  Receiving(ConnectionHost& h, bool first)
      : host(h), share(std::make_shared<ByteShare>(h.buffered)), opened(Clock::now()), progress(opened) {
    const auto& o = host.options;
    head_deadline = opened + seconds(first ? o.header_timeout_s : o.idle_timeout_s);
  }
  Receiving(const Receiving&) = delete;
  Receiving& operator=(const Receiving&) = delete;

  void fed(RequestReader& reader) {
    progress = Clock::now();
    over_budget = share->set(reader.body_bytes()) > host.options.max_buffered_bytes;
    if (!started && reader.started()) {
      started = true;
      head_deadline = progress + seconds(host.options.header_timeout_s);
      body_deadline = progress + seconds(host.options.body_timeout_s);
      reader.request().received_ns = steady_ns(progress);
    }
  }
  Time deadline(bool in_body) const {
    return in_body ? std::min(body_deadline, progress + seconds(host.options.idle_timeout_s)) : head_deadline;
  }

  ConnectionHost& host;
  std::shared_ptr<ByteShare> share;
  Time opened;
  Time progress;
  Time head_deadline;
  Time body_deadline;
  bool started = false;
  bool over_budget = false;
};

asio::awaitable<Connection::Next> Connection::refuse_body(Receiving& receiving, RequestReader& reader) {
  receiving.share->set(0);
  std::string().swap(reader.request().body);
  return refuse(kBodies, reader);
}

asio::awaitable<Connection::Next> Connection::read_request(RequestReader& reader, bool first) {
  Receiving receiving(host_, first);
  bool continued = false;
  for (;;) {
    if (!in_.empty()) {
      in_.erase(0, reader.feed(in_));
      receiving.fed(reader);
    }
    if (reader.state() == RequestReader::State::done) {
      if (receiving.over_budget) co_return co_await refuse_body(receiving, reader);
      reader.request().charge = receiving.share;
      co_return Next::go_on;
    }
    if (reader.state() == RequestReader::State::refused) co_return co_await refuse(reader.refusal(), reader);
    if (receiving.over_budget) co_return co_await refuse_body(receiving, reader);
    if (lost()) co_return Next::drop;
    if (host_.draining && !receiving.started) co_return Next::drop;  // nothing unread: closing is no reset
    if (read_closed_) co_return Next::linger;
    const bool in_body = reader.state() == RequestReader::State::body;
    if (reader.wants_continue() && !continued && reader.body_bytes() == 0) {
      continued = true;
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      pump_write();
    }
    const Time deadline = receiving.deadline(in_body);
    if (Clock::now() >= deadline) {
      if (!receiving.started) co_return Next::linger;
      co_return co_await refuse(in_body ? kSlowBody : kSlowHead, reader);
    }
    pump_read();
    co_await pause(deadline);
  }
}

void Connection::call_handler(RequestReader& reader, const std::shared_ptr<Exchange>& exchange) {
  const auto responder = Exchange::responder(exchange);
  reader.request().remote = remote_;
  if (reader.request().path == "*") {
    responder->send(204, {{"allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}}, {});
    return;
  }
  try {
    host_.handler(std::move(reader.request()), responder);
  } catch (const std::exception&) {
    log::error("a handler threw");
    responder->send(500, {{"content-type", "text/plain"}}, "Internal server error\n");
  }
}

asio::awaitable<Connection::Next> Connection::answer(RequestReader& reader) {
  const bool head_only = reader.request().method == "HEAD";
  const bool http_1_0 = reader.http_1_0();
  close_after_ = !reader.keep_alive() || host_.draining;
  exchange_ =
      std::make_shared<Exchange>(Exchange::Limits{host_.options.max_pending_bytes, host_.options.max_all_pending_bytes},
                                 host_.pending, [weak = weak_from_this(), executor = socket_.get_executor()] {
                                   asio::post(executor, [weak] {
                                     if (const auto self = weak.lock()) self->wake();
                                   });
                                 });
  call_handler(reader, exchange_);

  bool begun = false;
  bool ended = false;
  last_progress_ = Clock::now();
  for (;;) {
    Exchange::News news = exchange_->take();
    if (news.too_slow) co_return cut_off("a client reads too slowly and was cut off");
    if (news.dropped && (begun || news.head)) co_return cut_off("an answer was left unfinished");
    if (news.dropped) {
      news.head = news.whole = news.ended = true;
      news.status = 500;
    }
    begun = begun || news.head;
    queue_news(news, head_only, http_1_0);
    ended = ended || news.ended;
    pump_write();
    const bool writing = !flight_.empty();
    if (ended && !writing) break;
    if (lost() || (read_closed_ && !ended)) co_return Next::drop;
    if (received_ && !ended) hand_on();
    const bool limited = writing || received_;
    const Time deadline = last_progress_ + seconds(host_.options.idle_timeout_s);
    if (writing && Clock::now() >= deadline) co_return cut_off("a client stopped reading and was cut off");
    if (limited && Clock::now() >= deadline) co_return cut_off("a connection on which nothing moved was cut off");
    if (!ended) pump_read();
    co_await pause(limited ? deadline : Clock::now() + kLong);
  }
  exchange_->finish(false);
  exchange_.reset();
  received_ = nullptr;
  framing_ = BodyFraming::none;
  co_return close_after_ ? Next::linger : Next::go_on;
}

void Connection::hand_on() {
  if (in_.empty()) return;
  last_progress_ = Clock::now();
  const std::string bytes = std::exchange(in_, {});
  try {
    received_(bytes);
  } catch (const std::exception&) {
    log::error("a handler threw");
    close_now();
  }
}

void Connection::queue_news(Exchange::News& news, bool head_only, bool http_1_0) {
  if (news.received) {
    close_after_ = true;  // once it has ended
    framing_ = BodyFraming::until_close;
    received_ = std::move(news.received);
    out_ += head_bytes(news.status, framing_, 0, http_1_0, news.headers);
  } else if (news.head) {
    close_after_ = close_after_ || host_.draining;
    framing_ = news.whole ? BodyFraming::length : http_1_0 ? BodyFraming::until_close : BodyFraming::chunked;
    const std::size_t length = news.pieces.empty() ? 0 : news.pieces.front().size();
    out_ += head_bytes(news.status, framing_, length, http_1_0, news.headers);
    if (head_only || is_bodiless(news.status)) framing_ = BodyFraming::none;
  }
  for (const std::string& piece : news.pieces) {
    if (framing_ == BodyFraming::none) {
      exchange_->taken_by_client(piece.size());
      continue;
    }
    out_payload_ += piece.size();
    if (framing_ == BodyFraming::chunked) {
      append_chunk(out_, piece);
    } else {
      out_ += piece;
    }
  }
  if (news.ended && framing_ == BodyFraming::chunked) out_ += "0\r\n\r\n";
}

}  // namespace glia::http
