// One request's answer, with what every answer carries: ids, CORS headers, a log line, a count. Dialects answer through
// it and never touch the responder.
//
// The log line says method, path, status, milliseconds, model, tokens and an error's code: no query string, no body, no
// prompt. Thread rule: methods from any thread, one after another; on_leave's callback comes from the I/O thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "api/context.h"
#include "api/errors.h"
#include "http/server.h"
#include "http/websocket.h"

namespace glia::api {

/// OpenAI's header for an id that the client gives its own request: repeated in the answer and in the log line.
inline constexpr std::string_view kClientId = "x-client-request-id";

/// The service's header that sends the requests of one conversation to where its prefix is. There is one place here, so
/// it is a promise to come back: the prefix is kept longer. Which session it names makes no difference, and what was
/// computed is found by the account's own tokens alone.
inline constexpr std::string_view kSessionAffinity = "x-session-affinity";

inline constexpr std::string_view kJson = "application/json";  ///< exactly: workerd compares it whole

/// Printable ASCII of what a client sent, cut to `most` bytes: for logs and headers.
std::string printable(std::string_view text, std::size_t most = 200);

/// At most 512 bytes of printable ASCII, as OpenAI takes them.
bool usable_client_id(std::string_view id);

class Reply final : public EventStream, public std::enable_shared_from_this<Reply> {
 public:
  static std::shared_ptr<Reply> make(std::shared_ptr<Context> context, const http::Request& request,
                                     std::shared_ptr<http::Responder> responder);

  /// Ours, unguessable and unique: the ledger's key. A client's own id is repeated beside it, never used.
  const std::string& id() const { return id_; }
  Dialect dialect() const { return dialect_; }
  void set_dialect(Dialect dialect) { dialect_ = dialect; }
  /// For every answer that follows.
  void add_header(std::string name, std::string value);
  /// For the log line: what a forwarded call asked for, instead of the address it was forwarded to.
  void set_path(std::string_view path) { path_ = printable(path); }
  void set_model(std::string_view model) { model_ = model; }
  /// The session in whose address the request stood (/s/<session>/…); null without one.
  void set_session(std::shared_ptr<const Session> session) { session_ = std::move(session); }
  const std::shared_ptr<const Session>& session() const { return session_; }
  /// The client named a session of its own (x-session-affinity), to which it will come back.
  bool session_returns() const { return session_returns_; }
  void set_tokens(std::int64_t prompt, std::int64_t completion);
  void set_error(const Error& error) { code_ = cloudflare_code(error.code()); }
  /// Answers that are asked for all the time (health, metrics) are logged at debug level.
  void set_quiet() { quiet_ = true; }

  void json(int status, std::string body);
  void send(int status, std::string_view content_type, std::string body);
  void error(const Error& error, std::string_view param = {});
  /// 403 for who must not ask at all.
  void forbid(std::string_view sentence);
  void begin_stream();
  /// Instead of an answer. Call end() when the socket was closed, for the log. Errors: http::WebSocket::accept's.
  std::shared_ptr<http::WebSocket> accept_websocket(const http::Request& request, http::WebSocketEvents events);
  void write(std::string data) override { responder_->write(std::move(data)); }
  void end() override;
  /// Breaks the connection off, as a fault that a session asked for; counts as the client's leaving.
  void cut();

  /// Called once when the client leaves before the end. Whoever works on the answer then calls close_log(), or answers
  /// all the same.
  void on_leave(std::function<void()> callback);
  /// The log line of a request whose client left.
  void close_log();

 private:
  Reply(std::shared_ptr<Context> context, const http::Request& request, std::shared_ptr<http::Responder> responder);
  http::Headers headers(std::string_view content_type, std::size_t body_bytes);
  void left();
  void log(int status);

  std::shared_ptr<Context> context_;
  std::shared_ptr<http::Responder> responder_;
  std::shared_ptr<const Session> session_;
  std::string id_;
  std::string client_id_;
  std::string method_;
  std::string path_;
  std::int64_t received_ns_;
  http::Headers extra_;
  Dialect dialect_ = Dialect::admin;
  int status_ = 0;
  int code_ = 0;
  bool session_returns_ = false;
  std::string model_;
  std::string tokens_;
  bool quiet_ = false;
  std::mutex mutex_;
  bool left_ = false;
  bool logged_ = false;
  std::function<void()> leave_;
};

}  // namespace glia::api
