// The Responder of one request: a box between the threads that produce an answer and the I/O thread that writes it.
// Knows no socket; the connection passes `wake`, which must be callable from any thread until finish().
// Thread rule: Responder methods from any thread; take(), taken_by_client() and finish() from the I/O thread.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http/byte_count.h"
#include "http/server.h"

namespace glia::http {

class Exchange {
 public:
  /// What is new since the last take().
  struct News {
    bool head = false;   ///< status and headers are given below
    bool whole = false;  ///< from send(): the body is complete, content-length applies
    int status = 0;
    Headers headers;
    std::function<void(std::string_view)> received;  ///< from switch_protocols(): where the client's bytes go
    std::vector<std::string> pieces;
    bool ended = false;
    bool dropped = false;   ///< nobody is left who could end it
    bool too_slow = false;  ///< the client did not take what was written
  };

  struct Limits {
    std::size_t pending = 0;      ///< bytes of this answer that the client has not taken
    std::size_t all_pending = 0;  ///< of all answers; above it, kFairPending of one are too many
  };
  static constexpr std::size_t kFairPending = 64 << 10;

  Exchange(const Limits& limits, std::shared_ptr<ByteCount> all_pending, std::function<void()> wake);

  /// The handle for the handler. The answer counts as dropped when the last copy goes before the end.
  static std::shared_ptr<Responder> responder(const std::shared_ptr<Exchange>& exchange);

  News take();
  /// The socket took `bytes` of the pieces.
  void taken_by_client(std::size_t bytes);
  /// The connection is done with it. `left`: the client went away; calls the callback when the answer had not ended.
  void finish(bool left);

  void send(int status, Headers headers, std::string body);
  void begin(int status, Headers headers);
  void write(std::string data);
  void end();
  void switch_protocols(Headers headers, std::function<void(std::string_view bytes)> received);
  void drop();
  void on_disconnect(std::function<void()> callback);
  std::size_t pending_bytes() const;

 private:
  void begin_answer(int status, Headers headers, std::function<void(std::string_view)> received);
  void wake_locked();

  mutable std::mutex mutex_;
  bool too_much_locked(std::size_t more) const;
  void set_pending_locked(std::size_t bytes);

  const Limits limits_;
  std::function<void()> wake_;  ///< empty after finish()
  News news_;
  bool woken_ = false;  ///< a wake is on its way
  bool begun_ = false;
  bool ended_ = false;
  bool left_ = false;
  std::size_t pending_ = 0;
  const std::shared_ptr<ByteCount> all_pending_;
  ByteShare share_;  ///< pending_ as a part of it
  std::function<void()> disconnected_;
};

}  // namespace glia::http
