#include "api/binding/binding.h"

#include <algorithm>

#include "api/binding/rpc.h"
#include "api/guard.h"
#include "api/models_search.h"
#include "api/native_run.h"
#include "api/run_request.h"
#include "api/vectorize/binding_vectorize.h"
#include "http/url.h"

namespace glia::api {
namespace {

constexpr std::string_view kBind = "/bind/";

/// A binding's call with the forwarding taken off.
struct Call {
  http::Request request;  ///< as the binding made it
  std::string host;       ///< "workers-binding.ai", "vector-search"
  std::string account = "local";
  std::shared_ptr<const Session> session;
  std::string binding;  ///< its name in the Worker's env, where it was forwarded
  bool websocket = false;
};

bool is_raw_path(std::string_view path) {
  return path == "/run" || path == "/ai-gateway/run" || path.starts_with("/ai-api/") ||
         path.starts_with("/ai-gateway/") || path.starts_with("/to-everything/") || path.starts_with("/autorag/");
}

/// Undoes miniflare's proxy client: the URL from MF-URL, header MF-Header-x as x.
void unwrap(http::Request& request, std::string& host) {
  const auto target = http::parse_target(request.header("mf-url").value_or(""));
  if (!target || target->authority.empty()) throw Error(ErrorCode::no_route, "MF-URL is not an address");
  host = host_name(target->authority);
  request.path = target->path;
  request.query = target->query;
  constexpr std::string_view kPrefix = "mf-header-";
  http::Headers headers;
  for (auto& [name, value] : request.headers) {
    if (name.starts_with(kPrefix)) {
      headers.emplace_back(name.substr(kPrefix.size()), std::move(value));
    } else if (name == "upgrade" || name == "host") {
      headers.emplace_back(std::move(name), std::move(value));
    }
  }
  request.headers = std::move(headers);
}

Call read_call(const Context& context, Reply& reply, http::Request request) {
  Call call;
  if (request.path.starts_with(kBind)) {
    const std::string id = request.path.substr(kBind.size());
    call.session = context.sessions.find(id);
    if (!call.session) {
      throw Error(ErrorCode::no_route, "this glia serve does not know the session " + printable(id, 64) +
                                           "; it was restarted: restart glia-dev");
    }
    call.account = call.session->account;
  }
  call.websocket = http::wants_websocket(request);
  call.binding = request.header("mf-binding").value_or("");
  if (request.header("mf-url")) {
    unwrap(request, call.host);
    reply.set_path(request.path);
  } else {
    call.host = host_name(request.header("host").value_or(""));
  }
  call.request = std::move(request);
  return call;
}

/// "[prefix:]<model>"
std::string model_of(const http::Request& request) {
  std::string_view id = request.header("cf-consn-model-id").value_or("");
  if (const auto at = id.find(":@"); at != std::string_view::npos) id.remove_prefix(at + 1);
  if (id.empty()) throw Error(ErrorCode::incomplete_request, "the header cf-consn-model-id is missing");
  return std::string(id);
}

void run(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, const Call& call) {
  const std::string model = model_of(call.request);
  reply->set_model(printable(model));
  const auto type = call.request.header("content-type").value_or("");
  if (is_binary(type) || call.request.param("userInputs")) refuse_binary(*context, model, type);
  json::object body = parse_object(call.request.body);
  auto* inputs = body.if_contains("inputs");
  if (inputs == nullptr) throw Error(ErrorCode::incomplete_request, "inputs: missing in the body");
  if (!inputs->is_object()) throw Error(ErrorCode::invalid_input, "inputs: an object is expected");
  TextCall text;
  text.session = call.session;
  text.request.account = call.account;
  if (call.session) {
    text.request.plan = call.session->plan;
    text.request.rate_limits = call.session->rate_limits;
  }
  text.request.model = model;
  if (const auto* options = body.if_contains("options")) read_options(*options, text.request, text.notes);
  read_native_inputs(*context, *reply, std::move(inputs->get_object()), false, text);
  start_text_call(context, reply, std::move(text));
}

/// GET /run?version=3&body={inputs, options} with Upgrade: websocket. No task that talks over one is built, so the
/// answer is plain HTTP, and env.AI.run() returns it as the Response that it is.
[[noreturn]] void refuse_websocket_run(const Context& context, const Call& call) {
  const std::string model = model_of(call.request);
  const auto* entry = context.catalog().find(model);
  if (entry == nullptr) throw Error(ErrorCode::no_such_model, printable(model));
  if (!entry->served()) throw Error(ErrorCode::not_served, entry->id + ": the task " + entry->task);
  throw Error(ErrorCode::invalid_input, "options.websocket: " + entry->id + " is not run over a WebSocket");
}

void models(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, const Call& call) {
  ModelPage page = search_models(context->catalog(), call.request.query);
  reply->json(200, json::serialize(json::object{{"success", true},
                                                {"result", std::move(page.models)},
                                                {"result_info", std::move(page.info)},
                                                {"errors", json::array{}},
                                                {"messages", json::array{}}}));
}

/// The paths of classes that this version does not serve, each with the name its user knows.
void refuse_feature(std::string_view path) {
  if (path.starts_with("/to-everything/")) throw Error(ErrorCode::not_served, "toMarkdown()");
  if (path.starts_with("/autorag/")) throw Error(ErrorCode::not_served, "AutoRAG (AI Search)");
  if (path.starts_with("/ai-search/")) throw Error(ErrorCode::not_served, "AI Search");
  if (path.starts_with("/ai-gateway/")) throw Error(ErrorCode::not_served, "calls of an AI Gateway");
  throw Error(ErrorCode::no_route, "no binding asks for " + printable(path));
}

void route(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, Call call) {
  if (call.host == "vector-search") {
    reply->set_dialect(Dialect::vectorize);
    return serve_vectorize_binding(context, reply, std::make_shared<http::Request>(std::move(call.request)),
                                   call.session ? call.session->vector_account : call.account, call.session,
                                   call.binding);
  }
  const std::string& path = call.request.path;
  const bool is_run = path == "/run" || path == "/ai-gateway/run";
  reply->set_dialect(is_run ? Dialect::binding : Dialect::binding_other);
  if (is_run && call.websocket) refuse_websocket_run(*context, call);
  if (is_run) {
    if (call.request.method != "POST") throw Error(ErrorCode::method_not_allowed, "a run is a POST");
    return run(context, reply, call);
  }
  if (path == "/ai-api/models/search") return models(context, reply, call);
  if (path == "/to-everything/markdown/supported") {
    return reply->json(200, R"({"result":[],"success":true,"errors":[],"messages":[]})");  // no type, as yet
  }
  refuse_feature(path);
}

}  // namespace

bool is_binding_request(const http::Request& request) {
  if (request.header("mf-url") || request.path.starts_with(kBind) || request.param("MF-Binding")) return true;
  const std::string host = host_name(request.header("host").value_or(""));
  return host == "workers-binding.ai" || host == "vector-search" || is_raw_path(request.path);
}

void serve_binding(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                   http::Request request) {
  reply->set_dialect(Dialect::binding);
  const std::size_t body_bytes = request.body.size();
  if (is_rpc_session(request)) {
    return run_job(context, reply, 0, [&] { refuse_rpc_session(reply, request); });
  }
  const auto shared = std::make_shared<http::Request>(std::move(request));
  run_job(context, reply, body_bytes,
          [context, reply, shared] { route(context, reply, read_call(*context, *reply, std::move(*shared))); });
}

}  // namespace glia::api
