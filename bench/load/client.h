// One client of a server: sends requests over one connection, reads their event streams, notes when pieces came.
// Thread rule: one thread. Nothing blocks: the owner polls fd() and calls ready().
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace glia::bench {

/// What all clients saw.
struct Figures {
  std::int64_t finished = 0;
  std::int64_t left = 0;     ///< the client went away on purpose
  std::int64_t refused = 0;  ///< 429 or 503
  std::int64_t failed = 0;   ///< anything else
  std::int64_t tokens = 0;   ///< of finished answers, as their usage says
  std::vector<double> first_ms, between_ms, refused_ms;
  std::string failure;  ///< how the last one failed
};

enum class Outcome { finished, left, refused, failed };

class Client {
 public:
  using Clock = std::chrono::steady_clock;

  Client(std::uint16_t port, Figures& figures) : port_(port), figures_(figures) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Begins a request; connects where there is no connection. After `leave_after` pieces (0: never) the client leaves,
  /// `hard` with a reset. False when no connection can be had.
  bool ask(std::string_view request, int leave_after, bool hard);
  int fd() const { return fd_; }
  /// Reads and writes what is possible; the outcome once the request is over.
  std::optional<Outcome> ready();

 private:
  bool connect();
  void close(bool hard = false);
  bool flush();
  std::optional<Outcome> read_head();
  std::optional<Outcome> read_body();
  /// One event without its empty line; false when it is an error.
  bool event(std::string_view text);
  Outcome fail(std::string why);
  Outcome finish(Outcome outcome);

  const std::uint16_t port_;
  Figures& figures_;
  int fd_ = -1;
  std::string outgoing_, incoming_;
  Clock::time_point asked_, last_piece_;
  int leave_after_ = 0, pieces_ = 0, status_ = 0;
  bool hard_ = false, streaming_ = false, done_ = false;
  std::size_t body_left_ = 0;  ///< of an answer that is no stream
};

}  // namespace glia::bench
