#include "api/vectorize/binding_vectorize.h"

#include "api/run_request.h"
#include "api/vectorize/answers.h"
#include "api/vectorize/requests.h"
#include "api/vectorize/vectorize_call.h"
#include "base/log.h"

namespace glia::api {
namespace {

using vectorize::WriteKind;

struct Call : VectorizeCall {
  vectorize::Metric metric = vectorize::Metric::cosine;  ///< of the index where it is made by this call

  void note(const std::vector<std::string>& notes) const {
    std::string text;
    for (const auto& n : notes) text += (text.empty() ? "" : "; ") + n;
    if (!text.empty()) reply->add_header("x-glia-note", printable(text, 500));
  }

  /// The index's dimensions; 0: there is none yet.
  std::int32_t dimensions() const {
    try {
      return vectorize().get(account, index).config.dimensions;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::vectorize_index_not_found) throw;
      return 0;
    }
  }

  /// Makes the index for vectors of that many values, unless somebody was faster.
  void make_index(std::size_t values) const {
    try {
      vectorize().create(account, index, std::nullopt, {static_cast<std::int32_t>(values), metric});
      log::info(
          "vector index made by its first use",
          {{"index", index}, {"dimensions", std::to_string(values)}, {"metric", std::string(metric_name(metric))}});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::vectorize_duplicate_name) throw;
    }
  }

  vectorize::Answered mutation() const {
    return [reply = reply](const Error* error, const std::string& id) {
      if (error != nullptr) return reply->error(*error);
      reply->json(200, mutation_json(id));
    };
  }
};

void write(const Call& call, WriteKind kind) {
  vectorize::VectorRules rules;
  rules.kind = kind;
  rules.dimensions = call.dimensions();
  rules.limits = call.limits();
  rules.most_vectors = rules.limits.batch_binding;
  const auto type = call.request->header("content-type").value_or("");
  const bool one_text = type.starts_with("application/json");
  auto parsed = one_text ? vectorize::parse_vectors_object(call.request->body, rules)
                         : vectorize::parse_ndjson(call.request->body, rules);
  std::vector<std::string> notes;
  note_vectors(parsed, notes);
  call.note(notes);
  if (rules.dimensions == 0) call.make_index(parsed.vectors.front().values.size());
  call.vectorize().write(call.account, call.index, kind, std::move(parsed.vectors), call.mutation());
}

void query(const Call& call) {
  std::vector<std::string> notes;
  const std::int32_t dimensions = call.dimensions();
  const auto query = parse_vector_query(call.request->body, dimensions, call.limits(), notes);
  if (dimensions == 0 && !query.vector.empty()) call.make_index(query.vector.size());
  const auto result = call.vectorize().query(call.account, call.index, query);
  note_unindexed(result.unindexed, notes);
  call.note(notes);
  call.reply->json(200, matches_json(result.matches));
}

void route(const Call& call) {
  const std::string& path = call.request->path;
  if (path == "/info") {
    need_method(*call.request, call.reply, "GET");
    return call.reply->json(200, info_json(call.vectorize().info(call.account, call.index)));
  }
  need_method(*call.request, call.reply, "POST");
  if (path == "/query") return query(call);
  if (path == "/insert") return write(call, WriteKind::insert);
  if (path == "/upsert") return write(call, WriteKind::upsert);
  if (path == "/getByIds") {
    const auto ids = parse_ids(call.request->body, call.limits().get_ids);
    return call.reply->json(200, vectors_json(call.vectorize().get_by_ids(call.account, call.index, ids)));
  }
  if (path == "/deleteByIds") {
    auto ids = parse_ids(call.request->body, call.limits().delete_ids);
    return call.vectorize().remove(call.account, call.index, std::move(ids), call.mutation());
  }
  throw Error(ErrorCode::no_route, "no binding asks for " + printable(path));
}

/// Index and metric that a session has for a binding; the binding's name without one.
void choose_index(Call& call, const std::shared_ptr<const Session>& session, const std::string& binding) {
  call.index = binding;
  if (session == nullptr) return;
  const auto* entry = session->bindings.if_contains(binding);
  if (entry == nullptr || !entry->is_object()) return;
  if (const auto* name = entry->get_object().if_contains("index_name"); name != nullptr && name->is_string()) {
    call.index = name->get_string();
  }
  if (const auto* metric = entry->get_object().if_contains("metric"); metric != nullptr && metric->is_string()) {
    call.metric = vectorize::metric_of(metric->get_string()).value_or(vectorize::Metric::cosine);
  }
}

}  // namespace

void serve_vectorize_binding(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                             std::shared_ptr<http::Request> request, const std::string& account,
                             const std::shared_ptr<const Session>& session, const std::string& binding) {
  need_vectorize(*context);
  auto call = std::make_shared<Call>();
  call->context = context;
  call->reply = reply;
  call->request = std::move(request);
  call->account = account;
  choose_index(*call, session, binding);
  if (call->index.empty()) {
    throw Error(ErrorCode::incomplete_request, "which index is meant is not said: MF-Binding is missing");
  }
  const std::string& path = call->request->path;
  const bool reads = path == "/info" || path == "/query" || path == "/getByIds";
  run_on_index(*call, reads, [call] { route(*call); });
}

}  // namespace glia::api
