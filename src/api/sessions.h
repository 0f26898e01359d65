// Sessions of glia-dev: which account and bindings a URL stands for, and the event streams that tell it of finished
// calls. An open stream is a lease on the server (docs/protocol-internal.md).
//
// Bounds: kMaxSessions, of which those without a stream go first, oldest first; a stream that does not take its events
// is cut off by the HTTP server. Thread rule: every method from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "api/app.h"
#include "base/json.h"

namespace glia::api {

class Rehearsal;

/// Where a session's events go.
class EventStream {
 public:
  virtual ~EventStream() = default;
  virtual void write(std::string data) = 0;
  virtual void end() = 0;
};

/// A registered session. Values do not change: bind() puts another one in its place. It may end while calls of it run.
struct Session {
  std::string id;
  std::string account;
  std::string project;
  json::object bindings;
  tasks::Plan plan = tasks::Plan::server;
  bool rate_limits = false;
  std::shared_ptr<Rehearsal> rehearsal;  ///< null: nothing is rehearsed
  std::string vector_account;            ///< whose vector indexes: the account's, or the session's own
  std::uint64_t order = 0;
};

class Sessions {
 public:
  static constexpr std::size_t kMaxSessions = 1024;
  static constexpr std::size_t kMaxBindings = 1024;  ///< of one session

  /// `ended`: of each session that is no more, on the thread that ended it.
  Sessions(const Clock& clock, std::function<void(std::size_t open)> leases_changed,
           std::function<void(const Session&)> ended = {});
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// Errors: glia::Error(invalid_input) for a body of another shape, (out_of_capacity) when all sessions are leased.
  std::shared_ptr<const Session> create(std::string id, const json::object& body,
                                        std::shared_ptr<Rehearsal> rehearsal = nullptr);
  std::shared_ptr<const Session> find(std::string_view id) const;
  /// Adds bindings by name, in place of those that had the names; calls that run keep what there was. False when
  /// unknown. Errors: glia::Error(invalid_input) for a value that is no object, or beyond kMaxBindings.
  bool bind(std::string_view id, const json::value& bindings);
  /// Ends it and its streams. False when unknown.
  bool remove(std::string_view id);
  /// Ends every stream; later ones end at once.
  void close();

  /// Takes a stream that has begun; it is ended with the session. A token for unfollow(); 0 when the session is gone.
  std::uint64_t follow(std::string_view id, std::shared_ptr<EventStream> stream);
  /// The other end of the stream has left.
  void unfollow(std::uint64_t token);
  /// Sends one event to the session's streams.
  void tell(std::string_view id, const json::object& event);

  Leases leases() const;

 private:
  struct Follower {
    std::string session;
    std::shared_ptr<EventStream> stream;
  };

  void changed_locked();
  std::shared_ptr<const Session> make_room_locked();
  void keep_alive();

  const Clock& clock_;
  const std::function<void(std::size_t)> leases_changed_;
  const std::function<void(const Session&)> ended_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Session>, std::less<>> sessions_;
  std::map<std::uint64_t, Follower> followers_;
  std::uint64_t next_ = 1;
  Leases leases_;
  bool closed_ = false;
  std::condition_variable wake_;
  std::thread keep_alive_;
};

}  // namespace glia::api
