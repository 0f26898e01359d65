#include "api/openai/openai.h"

#include "api/models_search.h"
#include "api/openai/chat_format.h"
#include "api/openai/chat_request.h"
#include "api/openai/completion_format.h"
#include "api/openai/completion_request.h"
#include "api/openai/embeddings.h"
#include "api/run_request.h"

namespace glia::api {
namespace {

/// When the catalogue's ids were put together; OpenAI's shape wants a time for each model.
constexpr std::int64_t kCatalogueTime = 1763942400;  // 2025-11-24T00:00:00Z

/// Fills a call with what every OpenAI request has.
TextCall text_call(const std::shared_ptr<Reply>& reply, std::string_view account, OpenAiRequest& body) {
  reply->set_model(printable(body.model));
  TextCall call;
  call.request.account = account;
  call.request.model = std::move(body.model);
  call.request.inputs = std::move(body.inputs);
  call.notes = std::move(body.notes);
  call.stream = body.stream;
  read_options(body.options, call.request, call.notes);
  accept_content_forms(call.request.inputs);
  return call;
}

json::object read_body(const http::Request& request) {
  const auto type = request.header("content-type").value_or("");
  if (is_binary(type)) throw Error(ErrorCode::invalid_input, "the body must be JSON");
  return parse_object(request.body);
}

/// Refuses an id whose task the route has no shape for; what does not run at all is left to the Runner.
void need_task(const Context& context, std::string_view model, std::string_view task, std::string_view route) {
  const auto* entry = context.catalog().find(model);
  if (entry == nullptr || !entry->served() || entry->task == task) return;
  refuse_parameter("model", entry->id + " is not of the task that " + std::string(route) + " runs (" +
                                std::string(task) + ") but " + entry->task);
}

void chat(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, const http::Request& request,
          std::string_view account) {
  OpenAiRequest body = read_chat_request(read_body(request));
  need_task(*context, body.model, "Text Generation", "/v1/chat/completions");
  TextCall call = text_call(reply, account, body);
  call.format = chat_format(reply->id(), context->clock().unix_ms() / 1000, body.include_usage);
  start_text_call(context, reply, std::move(call));
}

void completions(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                 const http::Request& request, std::string_view account) {
  CompletionRequest body = read_completion_request(read_body(request));
  need_task(*context, body.model, "Text Generation", "/v1/completions");
  TextCall call = text_call(reply, account, body);
  call.format =
      completion_format(reply->id(), context->clock().unix_ms() / 1000, body.include_usage, std::move(body.echo));
  start_text_call(context, reply, std::move(call));
}

void embeddings(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                const http::Request& request, std::string_view account) {
  EmbeddingsRequest body = read_embeddings_request(read_body(request));
  need_task(*context, body.model, "Text Embeddings", "/v1/embeddings");
  const auto* entry = context->catalog().find(body.model);
  if (entry != nullptr && body.dimensions && *body.dimensions > static_cast<std::size_t>(entry->dimensions)) {
    refuse_parameter("dimensions", entry->id + " has " + std::to_string(entry->dimensions));
  }
  TextCall call = text_call(reply, account, body);
  call.format = embeddings_format(body.base64, body.dimensions);
  start_text_call(context, reply, std::move(call));
}

json::object describe(const catalog::ModelEntry& model) {
  return {{"id", model.id}, {"object", "model"}, {"created", kCatalogueTime}, {"owned_by", author_of(model.id)}};
}

void list_models(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply) {
  json::array data;
  for (const auto& model : context->catalog().models()) {
    if (model.served()) data.push_back(describe(model));
  }
  reply->json(200, json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}}));
}

void one_model(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, std::string_view id) {
  const auto* model = context->catalog().find(id);
  if (model == nullptr || !model->served()) return reply->error(Error(ErrorCode::no_such_model, id), "model");
  reply->json(200, json::serialize(describe(*model)));
}

/// OpenAI refuses an id of the client's own that it could not log.
void check_client_id(const http::Request& request) {
  const auto id = request.header(kClientId);
  if (id && !usable_client_id(*id)) {
    throw Error(ErrorCode::invalid_input, std::string(kClientId) + ": at most 512 characters of ASCII are expected");
  }
}

void route(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, const http::Request& request,
           std::string_view account, std::string_view path) {
  constexpr std::string_view kModels = "models/";
  check_client_id(request);
  if (path == "chat/completions") {
    need_method(request, reply, "POST");
    return chat(context, reply, request, account);
  }
  if (path == "completions") {
    need_method(request, reply, "POST");
    return completions(context, reply, request, account);
  }
  if (path == "embeddings") {
    need_method(request, reply, "POST");
    return embeddings(context, reply, request, account);
  }
  if (path == "models") {
    need_method(request, reply, "GET");
    return list_models(context, reply);
  }
  if (path.starts_with(kModels)) {
    need_method(request, reply, "GET");
    return one_model(context, reply, path.substr(kModels.size()));
  }
  for (const std::string_view known :
       {"responses", "images/", "audio/", "files", "batches", "moderations", "fine_tuning/"}) {
    if (path.starts_with(known)) throw Error(ErrorCode::not_served, "/v1/" + printable(path));
  }
  throw Error(ErrorCode::no_route, "/v1/" + printable(path) + " is not served by Glia");
}

}  // namespace

void serve_openai(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, http::Request request,
                  std::string_view account, std::string_view path) {
  reply->set_dialect(Dialect::openai);
  const std::size_t body_bytes = request.body.size();
  struct Held {
    http::Request request;
    std::string account, path;
  };
  const auto held = std::make_shared<Held>(Held{std::move(request), std::string(account), std::string(path)});
  run_job(context, reply, body_bytes,
          [context, reply, held] { route(context, reply, held->request, held->account, held->path); });
}

}  // namespace glia::api
