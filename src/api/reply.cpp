#include "api/reply.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "http/sse.h"

namespace glia::api {
namespace {

bool names_session(const http::Request& request) {
  if (const auto name = request.header(kSessionAffinity)) return !name->empty();
  return !request.header("mf-header-" + std::string(kSessionAffinity))
              .value_or("")
              .empty();  // as workerd's proxy sends
}

constexpr int kClientLeft = 499;  ///< nginx's number; only in logs and metrics

std::string milliseconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", ms);
  return text;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  if (text.size() > most) out += "...";
  return out;
}

bool usable_client_id(std::string_view id) {
  return !id.empty() && id.size() <= 512 &&
         std::all_of(id.begin(), id.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::shared_ptr<Reply> Reply::make(std::shared_ptr<Context> context, const http::Request& request,
                                   std::shared_ptr<http::Responder> responder) {
  std::shared_ptr<Reply> reply(new Reply(std::move(context), request, std::move(responder)));
  reply->responder_->on_disconnect([weak = std::weak_ptr(reply)] {
    if (const auto self = weak.lock()) self->left();
  });
  return reply;
}

Reply::Reply(std::shared_ptr<Context> context, const http::Request& request, std::shared_ptr<http::Responder> responder)
    : context_(std::move(context)),
      responder_(std::move(responder)),
      id_(context_->new_id()),
      method_(request.method),
      path_(printable(request.path)),
      received_ns_(context_->clock().steady_ns()),
      extra_(context_->guard.cors_headers(request)),
      session_returns_(names_session(request)) {
  if (const auto given = request.header(kClientId); given && usable_client_id(*given)) {
    client_id_ = *given;
    add_header(std::string(kClientId), client_id_);
  }
}

void Reply::add_header(std::string name, std::string value) { extra_.emplace_back(std::move(name), std::move(value)); }

void Reply::set_tokens(std::int64_t prompt, std::int64_t completion) {
  tokens_ = std::to_string(prompt) + "+" + std::to_string(completion);
}

http::Headers Reply::headers(std::string_view content_type, std::size_t body_bytes) {
  http::Headers out;
  if (body_bytes > 0) out.emplace_back("content-type", content_type);
  out.emplace_back("cf-ai-req-id", id_);
  out.emplace_back("x-request-id", id_);
  out.insert(out.end(), std::make_move_iterator(extra_.begin()), std::make_move_iterator(extra_.end()));
  return out;
}

void Reply::json(int status, std::string body) { send(status, kJson, std::move(body)); }

void Reply::send(int status, std::string_view content_type, std::string body) {
  http::Headers all = headers(content_type, body.size());
  status_ = status;
  responder_->send(status, std::move(all), std::move(body));
  log(status);
}

void Reply::error(const Error& error, std::string_view param) {
  set_error(error);
  ErrorAnswer answer = error_answer(dialect_, error, param);
  if (answer.retry_after_s > 0) add_header("retry-after", std::to_string(answer.retry_after_s));
  json(answer.status, std::move(answer.body));
}

void Reply::forbid(std::string_view sentence) {
  json(403, error_answer(dialect_, Error(ErrorCode::authentication, sentence)).body);
}

void Reply::begin_stream() {
  status_ = 200;
  add_header("cache-control", "no-cache");
  responder_->begin(200, headers(http::kEventStream, 1));
}

std::shared_ptr<http::WebSocket> Reply::accept_websocket(const http::Request& request, http::WebSocketEvents events) {
  http::WebSocketOptions options;
  const http::Headers kept = extra_;  // an answer instead, when the handshake is none, has them too
  options.headers = headers({}, 0);
  extra_ = kept;
  auto socket = http::WebSocket::accept(request, responder_, std::move(events), std::move(options));
  status_ = 101;
  return socket;
}

void Reply::end() {
  responder_->end();
  log(status_);
}

void Reply::cut() {
  if (status_ == 0) responder_->begin(200, headers(kJson, 1));
  responder_.reset();  // an answer that nobody can end is broken off
  left();
}

void Reply::on_leave(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (logged_) return;  // ended already
    if (!left_) {
      leave_ = std::move(callback);
      return;
    }
  }
  callback();
}

void Reply::left() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(left_, true)) return;
    callback = std::exchange(leave_, nullptr);
  }
  if (callback) callback();
}

void Reply::close_log() { log(kClientLeft); }

void Reply::log(int status) {
  std::function<void()> forgotten;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(logged_, true)) return;
    forgotten = std::exchange(leave_, nullptr);  // breaks the circle reply → callback → run → reply
    if (left_) status = kClientLeft;
  }
  const double ms = static_cast<double>(context_->clock().steady_ns() - received_ns_) / 1e6;
  context_->metrics.request(dialect_name(dialect_), status, ms / 1000);
  const auto level = quiet_ ? log::Level::debug : log::Level::info;
  log::write(level, "request",
             {{"method", method_},
              {"path", path_},
              {"status", std::to_string(status)},
              {"ms", milliseconds(ms)},
              {"model", model_.empty() ? "-" : model_},
              {"tokens", tokens_.empty() ? "-" : tokens_},
              {"code", code_ == 0 ? "-" : std::to_string(code_)},
              {"id", client_id_.empty() ? id_ : id_ + " of " + client_id_}});
}

}  // namespace glia::api
