#include "api/admin/admin.h"

#include <charconv>

#include "api/admin/models.h"
#include "api/rehearsal/rehearsal.h"
#include "api/rehearsal/routes.h"
#include "api/run_request.h"
#include "api/usage_report.h"

namespace glia::api {
namespace {

using ContextPtr = std::shared_ptr<Context>;
using ReplyPtr = std::shared_ptr<Reply>;

bool is_get(const http::Request& request) { return request.method == "GET" || request.method == "HEAD"; }

[[noreturn]] void not_allowed(const ReplyPtr& reply, std::string_view allowed) {
  reply->add_header("allow", std::string(allowed));
  throw Error(ErrorCode::method_not_allowed, std::string(allowed) + " is possible here");
}

void version(const ContextPtr& context, const ReplyPtr& reply) {
  const auto& info = context->info;
  reply->json(200, json::serialize(json::object{{"name", "glia"},
                                                {"version", info.version},
                                                {"protocol", kInternalProtocol},
                                                {"device", info.device},
                                                {"profile", info.profile}}));
}

void health(const ContextPtr& context, const ReplyPtr& reply) {
  reply->set_quiet();
  if (context->services.ready()) return reply->json(200, R"({"status":"ok"})");
  reply->add_header("retry-after", "1");
  reply->json(503, R"({"status":"loading"})");
}

void metrics(const ContextPtr& context, const ReplyPtr& reply) {
  reply->set_quiet();
  reply->send(200, "text/plain; version=0.0.4; charset=utf-8", context->metrics.text());
}

void usage(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  int days = 7;
  if (const auto text = request.param("days")) {
    const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), days);
    if (ec != std::errc() || end != text->data() + text->size() || days < 1 || days > 3660) {
      throw Error(ErrorCode::invalid_input, "days: a whole number from 1 to 3660 is expected");
    }
  }
  const auto by = request.param("by") ? ledger::parse_grouping(*request.param("by")) : ledger::Grouping{};
  const auto format = request.param("format").value_or("json");
  if (format != "json" && format != "csv") throw Error(ErrorCode::invalid_input, "format: json or csv is expected");
  const std::string account(request.param("account").value_or(""));
  run_on_worker(context, reply, [context, reply, account, days, by, csv = format == "csv"] {
    const auto rows = ledger::grouped(context->services.usage(account, days), by);
    if (csv) return reply->send(200, "text/csv; charset=utf-8", usage_csv(rows, by));
    reply->json(200, json::serialize(usage_json(rows, by)));
  });
}

void create_session(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  if (request.method != "POST") not_allowed(reply, "POST");
  const json::object body = parse_object(request.body);
  const auto session =
      context->sessions.create(context->new_id(), body, std::make_shared<Rehearsal>(body, context->catalog()));
  const std::string host(request.header("host").value_or("127.0.0.1"));
  reply->json(
      200, json::serialize(json::object{{"session", session->id}, {"url", "http://" + host + "/bind/" + session->id}}));
}

void follow(const ContextPtr& context, const ReplyPtr& reply, std::string_view id) {
  reply->set_quiet();
  reply->begin_stream();
  const std::uint64_t token = context->sessions.follow(id, reply);
  if (token == 0) return;
  // The sessions hold the reply while it is followed.
  reply->on_leave([weak_context = std::weak_ptr(context), weak_reply = std::weak_ptr(reply), token] {
    const auto reply = weak_reply.lock();
    if (const auto context = weak_context.lock()) context->sessions.unfollow(token);
    if (reply) reply->close_log();
  });
}

void bind(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request, std::string_view id) {
  if (request.method != "PUT") not_allowed(reply, "PUT");
  const json::object body = parse_object(request.body);
  const auto* bindings = body.if_contains("bindings");
  if (bindings == nullptr) throw Error(ErrorCode::invalid_input, "bindings: missing");
  if (!context->sessions.bind(id, *bindings)) throw Error(ErrorCode::no_route, "the session has ended");
  reply->send(204, {}, {});
}

/// `rest`: "<id>", "<id>/events", "<id>/bindings" or a part of its rehearsal.
void one_session(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request,
                 std::string_view rest) {
  const std::string_view id = rest.substr(0, rest.find('/'));
  const std::string_view action = id.size() == rest.size() ? std::string_view{} : rest.substr(id.size() + 1);
  const auto session = context->sessions.find(id);
  if (!session) throw Error(ErrorCode::no_route, "this glia serve does not know the session");
  if (action == "events") {
    if (!is_get(request)) not_allowed(reply, "GET");
    return follow(context, reply, id);
  }
  if (action == "bindings") return bind(context, reply, request, id);
  if (serve_rehearsal(reply, request, *session, action)) return;
  if (!action.empty()) throw Error(ErrorCode::no_route, "no such part of a session");
  if (request.method != "DELETE") not_allowed(reply, "DELETE");
  context->sessions.remove(id);
  reply->send(204, {}, {});
}

void welcome(const ContextPtr& context, const ReplyPtr& reply) {
  reply->send(200, "text/plain; charset=utf-8",
              "glia " + context->info.version +
                  " is running.\n\n"
                  "Workers:  npx glia-dev           (instead of npx wrangler dev)\n"
                  "OpenAI:   /v1/chat/completions   /v1/models\n"
                  "REST:     /client/v4/accounts/local/ai/run/@cf/meta/llama-3.1-8b-instruct\n"
                  "State:    /health   /metrics   /version\n");
}

void route(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  constexpr std::string_view kSession = "/glia/v1/sessions/";
  const std::string_view path = request.path;
  if (path == "/glia/v1/sessions") return create_session(context, reply, request);
  if (path.starts_with(kSession)) return one_session(context, reply, request, path.substr(kSession.size()));

  using Get = void (*)(const ContextPtr&, const ReplyPtr&);
  struct Route {
    std::string_view path;
    Get get;
  };
  for (const Route& r :
       {Route{"/", welcome}, Route{"/version", version}, Route{"/health", health}, Route{"/metrics", metrics},
        Route{"/glia/v1/models", serve_models}, Route{"/glia/v1/status", serve_status}}) {
    if (path != r.path) continue;
    if (!is_get(request)) not_allowed(reply, "GET");
    return r.get(context, reply);
  }
  if (path == "/glia/v1/load") return serve_load(context, reply, request);
  if (path == "/glia/v1/stop") return serve_stop(context, reply, request);
  if (path == "/glia/v1/usage") {
    if (!is_get(request)) not_allowed(reply, "GET");
    return usage(context, reply, request);
  }
  throw Error(ErrorCode::no_route, printable(path) + " is not served by Glia");
}

}  // namespace

void serve_admin(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  reply->set_dialect(Dialect::admin);
  run_job(context, reply, 0, [&] { route(context, reply, request); });
}

}  // namespace glia::api
