#include "api/app.h"

#include <sys/random.h>

#include <array>
#include <optional>

#include "api/admin/admin.h"
#include "api/binding/binding.h"
#include "api/context.h"
#include "api/openai/openai.h"
#include "api/reply.h"
#include "api/rest/rest.h"
#include "base/log.h"

namespace glia::api {
namespace {

constexpr std::size_t kWorkers = 2;
constexpr std::size_t kMostWaiting = 256;
constexpr std::size_t kMostLoads = 64;

/// 128 bits from the system in hex.
std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  std::size_t have = 0;
  while (have < bytes.size()) {
    const auto n = ::getrandom(bytes.data() + have, bytes.size() - have, 0);
    if (n > 0) have += static_cast<std::size_t>(n);
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Services completed(Services s) {
  if (!s.new_id) s.new_id = random_id;
  if (!s.ready) s.ready = [] { return true; };
  if (!s.usage) s.usage = [](std::string_view, int) { return std::vector<ledger::UsageRow>{}; };
  if (!s.weights) s.weights = [](const catalog::ModelEntry&) { return tasks::ResolvedWeights{}; };
  return s;
}

/// The part of a path that OpenAI's API has after /v1/, and the account; false for other paths.
bool openai_path(std::string_view path, std::string_view& account, std::string_view& rest) {
  constexpr std::string_view kV1 = "/v1/";
  constexpr std::string_view kAiV1 = "ai/v1/";
  for (const std::string_view root : {kV1, std::string_view("/ai/v1/")}) {
    if (!path.starts_with(root)) continue;
    account = "local";
    rest = path.substr(root.size());
    return true;
  }
  if (!split_account(path, account, rest) || !rest.starts_with(kAiV1)) return false;
  rest.remove_prefix(kAiV1.size());
  return true;
}

Dialect dialect_of(const http::Request& request) {
  std::string_view account, rest;
  if (is_binding_request(request)) return Dialect::binding;
  if (openai_path(request.path, account, rest)) return Dialect::openai;
  return request.path.starts_with(kRestRoot) ? Dialect::rest : Dialect::admin;
}

/// Takes /s/<session> off the path, where it stands in front of any dialect's.
std::optional<std::string> take_session(http::Request& request) {
  constexpr std::string_view kSession = "/s/";
  if (!request.path.starts_with(kSession)) return std::nullopt;
  const auto end = request.path.find('/', kSession.size());
  std::string id = request.path.substr(kSession.size(), end - kSession.size());
  request.path = end == std::string::npos ? "/" : request.path.substr(end);
  return id;
}

/// Refuses what a page of another site sends. True when it did.
bool refused_by_guard(const Guard& guard, const http::Request& request, const std::shared_ptr<Reply>& reply) {
  const auto host = request.header("host");
  if (!guard.host_allowed(host)) {
    reply->forbid("the host name " + printable(host.value_or(""), 80) +
                  " is not one of this server; use 127.0.0.1 or localhost");
    return true;
  }
  const auto origin = request.header("origin");
  if (origin && !guard.origin_allowed(*origin)) {
    reply->forbid("pages of " + printable(*origin, 80) + " may not use this server");
    return true;
  }
  return false;
}

void dispatch(const std::shared_ptr<Context>& context, http::Request request,
              std::shared_ptr<http::Responder> responder) {
  const auto reply = Reply::make(context, request, std::move(responder));
  reply->set_dialect(dialect_of(request));
  if (refused_by_guard(context->guard, request, reply)) return;
  if (const auto id = take_session(request)) {
    reply->set_dialect(dialect_of(request));
    reply->set_path(request.path);
    reply->set_session(context->sessions.find(*id));
    if (!reply->session()) {
      return reply->error(Error(ErrorCode::no_route, "this glia serve does not know the session in the address"));
    }
  }
  if (request.method == "OPTIONS") {
    for (auto& [name, value] : context->guard.preflight_headers(request)) reply->add_header(name, value);
    reply->set_quiet();
    return reply->send(204, {}, {});
  }
  std::string_view account, rest;
  const std::string path = request.path;
  if (is_binding_request(request)) return serve_binding(context, reply, std::move(request));
  if (openai_path(path, account, rest)) return serve_openai(context, reply, std::move(request), account, rest);
  if (path.starts_with(kRestRoot)) return serve_rest(context, reply, std::move(request));
  serve_admin(context, reply, request);
}

Error refusal_error(int status, std::string_view reason) {
  switch (status) {
    case 408:
      return Error(ErrorCode::timeout, reason);
    case 413:
      return Error(ErrorCode::request_too_large, reason);
    case 503:
      return Error(ErrorCode::out_of_capacity, reason);
    default:
      return Error(ErrorCode::incomplete_request, reason);
  }
}

}  // namespace

Context::Context(Services s, AppInfo i, tasks::WorkQueue& w, tasks::WorkQueue& l)
    : services(completed(std::move(s))),
      info(std::move(i)),
      guard(info.host),
      metrics(services.engine, services.vectorize),
      sessions(
          *services.clock, [this](std::size_t open) { metrics.leases(open); },
          [this](const Session& session) {
            if (services.vectorize == nullptr || session.vector_account == session.account) return;
            const bool posted = work.post([vectors = services.vectorize, account = session.vector_account] {
              try {
                vectors->drop_account(account);
              } catch (const Error&) {
                // The disk fails; what is left of them goes with the next start.
              }
            });
            if (!posted) log::warn("vector indexes of a session stay until the next start");
          }),
      pacer(std::make_shared<Pacer>(*services.clock)),
      work(w),
      loads(l) {}

struct App::Impl {
  Impl(Services services, AppInfo info)
      : work(kWorkers, kMostWaiting),
        loads(kWorkers, kMostLoads),
        context(std::make_shared<Context>(std::move(services), std::move(info), work, loads)) {}

  tasks::WorkQueue work;
  tasks::WorkQueue loads;
  std::shared_ptr<Context> context;
};

App::App(Services services, AppInfo info) : impl_(std::make_shared<Impl>(std::move(services), std::move(info))) {}

App::~App() {
  impl_->context->sessions.close();
  impl_->context->pacer->close();
}

http::Handler App::handler() {
  return [context = impl_->context](http::Request request, std::shared_ptr<http::Responder> responder) {
    dispatch(context, std::move(request), std::move(responder));
  };
}

http::RefusalFormat App::refusal() {
  return [context = impl_->context](int status, std::string_view reason, const http::Request& head) {
    const Dialect dialect = head.path.empty() ? Dialect::admin : dialect_of(head);
    const std::string id = context->new_id();
    return std::pair<http::Headers, std::string>{
        {{"content-type", std::string(kJson)}, {"cf-ai-req-id", id}, {"x-request-id", id}},
        error_answer(dialect, refusal_error(status, reason)).body};
  };
}

Leases App::leases() const { return impl_->context->sessions.leases(); }

void App::close_sessions() { impl_->context->sessions.close(); }

}  // namespace glia::api
