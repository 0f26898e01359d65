#include "api/rest/rest.h"

#include "api/envelope.h"
#include "api/models_search.h"
#include "api/native_run.h"
#include "api/rest/accounts.h"
#include "api/rest/model_schema.h"
#include "api/run_request.h"
#include "api/vectorize/rest_vectorize.h"

namespace glia::api {
namespace {

void run(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, const http::Request& request,
         std::string_view account, std::string_view model) {
  reply->set_model(printable(model));
  if (request.param("queueRequest") == "true") throw Error(ErrorCode::not_served, "batch requests (queueRequest)");
  const auto type = request.header("content-type").value_or("");
  if (is_binary(type)) refuse_binary(*context, model, type);
  TextCall call;
  call.request.account = account;
  call.request.model = model;
  json::object inputs = parse_object(request.body);
  if (const auto* options = inputs.if_contains("options")) {
    read_options(*options, call.request, call.notes);
    inputs.erase("options");
  }
  if (inputs.contains("requests")) throw Error(ErrorCode::not_served, "batch requests (requests)");
  read_native_inputs(*context, *reply, std::move(inputs), true, call);
  start_text_call(context, reply, std::move(call));
}

void search(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
            const http::Request& request) {
  ModelPage page = search_models(context->catalog(), request.query);
  json::object body = envelope(std::move(page.models), page.notes);
  body["result_info"] = std::move(page.info);
  reply->json(200, json::serialize(body));
}

void schema(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
            const http::Request& request) {
  const auto model = request.param("model");
  if (!model) throw Error(ErrorCode::incomplete_request, "the query parameter model is missing");
  reply->json(200, json::serialize(envelope(model_schema(context->catalog(), *model))));
}

/// Features of the API that this version does not serve, by the start of their path below the account.
void refuse_feature(std::string_view rest) {
  struct Feature {
    std::string_view prefix, name;
  };
  for (const Feature& f : {Feature{"ai/tomarkdown", "toMarkdown"}, Feature{"ai/finetunes", "LoRA finetunes"},
                           Feature{"ai/authors", "the list of authors"}, Feature{"ai/tasks", "the list of tasks"},
                           Feature{"autorag/", "AutoRAG (AI Search)"}, Feature{"ai-search/", "AI Search"},
                           Feature{"ai-gateway/", "AI Gateway"}}) {
    if (rest.starts_with(f.prefix)) throw Error(ErrorCode::not_served, f.name);
  }
}

void route(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
           const std::shared_ptr<http::Request>& shared) {
  const http::Request& request = *shared;
  std::string_view account;
  std::string_view rest;
  constexpr std::string_view kRun = "ai/run/";
  if (split_account(request.path, account, rest)) {
    if (rest.starts_with(kRun) && rest.size() > kRun.size()) {
      need_method(request, reply, "POST");
      return run(context, reply, request, account, rest.substr(kRun.size()));
    }
    if (rest == "ai/models/search") {
      need_method(request, reply, "GET");
      return search(context, reply, request);
    }
    if (rest == "ai/models/schema") {
      need_method(request, reply, "GET");
      return schema(context, reply, request);
    }
    if (serve_vectorize_rest(context, reply, shared, account, rest)) return;
    refuse_feature(rest);
  }
  if (serve_accounts(context, reply, request)) return;
  throw Error(ErrorCode::no_route, printable(request.path) + " is not served by Glia");
}

}  // namespace

bool split_account(std::string_view path, std::string_view& account, std::string_view& rest) {
  constexpr std::string_view kAccounts = "/client/v4/accounts/";
  if (!path.starts_with(kAccounts)) return false;
  path.remove_prefix(kAccounts.size());
  const auto slash = path.find('/');
  if (slash == 0 || slash == std::string_view::npos) return false;
  account = path.substr(0, slash);
  rest = path.substr(slash + 1);
  return true;
}

void serve_rest(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, http::Request request) {
  reply->set_dialect(Dialect::rest);
  const std::size_t body_bytes = request.body.size();
  const auto shared = std::make_shared<http::Request>(std::move(request));
  run_job(context, reply, body_bytes, [context, reply, shared] { route(context, reply, shared); });
}

}  // namespace glia::api
