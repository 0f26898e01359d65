#include "api/vectorize/rest_vectorize.h"

#include <charconv>

#include "api/run_request.h"
#include "api/vectorize/answers.h"
#include "api/vectorize/requests.h"
#include "api/vectorize/vectorize_call.h"

namespace glia::api {
namespace {

using vectorize::WriteKind;

/// Below /vectorize/v2/indexes.
struct Call : VectorizeCall {
  std::string action;
  std::vector<std::string> notes;

  const std::string& body() const { return request->body; }
  void answer(const std::string& result, int status = 200) const { reply->json(status, enveloped(result, notes)); }
  /// For when the mutation is on the disk.
  vectorize::Answered mutation() const {
    return [call = *this](const Error* error, const std::string& id) {
      if (error != nullptr) return call.reply->error(*error);
      call.answer(mutation_json(id));
    };
  }
};

void create(Call& call) {
  const NewIndex index = parse_new_index(call.body(), call.notes);
  const auto entry = call.vectorize().create(call.account, index.name, index.description, index.config);
  if (entry.config.dimensions < kServiceLeastDimensions) {
    call.notes.push_back("the service takes indexes of 32 to 1536 dimensions");
  }
  call.answer(index_json(entry), 201);
}

void list(Call& call) {
  std::string out = "[";
  for (const auto& entry : call.vectorize().list(call.account)) out += (out.size() > 1 ? "," : "") + index_json(entry);
  call.answer(out + "]");
}

void write(Call& call, WriteKind kind) {
  const auto entry = call.vectorize().get(call.account, call.index);
  vectorize::VectorRules rules;
  rules.kind = kind;
  rules.dimensions = entry.config.dimensions;
  rules.limits = call.limits();
  rules.most_vectors = rules.limits.batch_http;
  auto parsed = parse_upload(*call.request, rules);
  note_vectors(parsed, call.notes);
  call.request->body.clear();
  call.request->body.shrink_to_fit();
  call.vectorize().write(call.account, call.index, kind, std::move(parsed.vectors), call.mutation());
}

void query(Call& call) {
  const auto entry = call.vectorize().get(call.account, call.index);
  const auto query = parse_vector_query(call.body(), entry.config.dimensions, call.limits(), call.notes);
  const auto result = call.vectorize().query(call.account, call.index, query);
  note_unindexed(result.unindexed, call.notes);
  call.answer(matches_json(result.matches));
}

void list_vectors(Call& call) {
  std::size_t count = 100;
  const auto given = call.request->param("count");
  const std::size_t most = call.limits().list_count;
  if (given) {
    const auto read = std::from_chars(given->data(), given->data() + given->size(), count);
    if (read.ec != std::errc() || read.ptr != given->data() + given->size() || count < 1 || count > most) {
      throw Error::worded(ErrorCode::vectorize_query_json,
                          "count: a whole number from 1 to " + std::to_string(most) + " is expected");
    }
  }
  const std::string cursor(call.request->param("cursor").value_or(""));
  call.answer(page_json(call.vectorize().list_vectors(call.account, call.index, count, cursor)));
}

struct Action {
  std::string_view name;
  std::string_view method;
  bool reads;  ///< what is in the index
  void (*run)(Call&);
};

constexpr Action kActions[] = {
    {"", "GET", false, [](Call& c) { c.answer(index_json(c.vectorize().get(c.account, c.index))); }},
    {"info", "GET", true, [](Call& c) { c.answer(info_json(c.vectorize().info(c.account, c.index))); }},
    {"insert", "POST", false, [](Call& c) { write(c, WriteKind::insert); }},
    {"upsert", "POST", false, [](Call& c) { write(c, WriteKind::upsert); }},
    {"query", "POST", true, query},
    {"list", "GET", true, list_vectors},
    {"get_by_ids", "POST", true,
     [](Call& c) {
       const auto ids = parse_ids(c.body(), c.limits().get_ids);
       c.answer(vectors_json(c.vectorize().get_by_ids(c.account, c.index, ids)));
     }},
    {"delete_by_ids", "POST", false,
     [](Call& c) {
       auto ids = parse_ids(c.body(), c.limits().delete_ids);
       c.vectorize().remove(c.account, c.index, std::move(ids), c.mutation());
     }},
    {"metadata_index/create", "POST", false,
     [](Call& c) {
       c.vectorize().add_metadata_index(c.account, c.index, parse_metadata_index(c.body(), true), c.mutation());
     }},
    {"metadata_index/delete", "POST", false,
     [](Call& c) {
       const auto index = parse_metadata_index(c.body(), false);
       c.vectorize().remove_metadata_index(c.account, c.index, index.property, c.mutation());
     }},
    {"metadata_index/list", "GET", false,
     [](Call& c) { c.answer(metadata_indexes_json(c.vectorize().metadata_indexes(c.account, c.index))); }},
};

const Action* action_named(std::string_view name) {
  for (const Action& action : kActions) {
    if (action.name == name) return &action;
  }
  return nullptr;
}

void route(Call& call) {
  const std::string& method = call.request->method;
  if (call.index.empty()) {
    if (method == "POST") return create(call);
    need_method(*call.request, call.reply, "GET");
    return list(call);
  }
  if (call.action.empty() && method == "DELETE") {
    call.vectorize().drop(call.account, call.index);
    return call.answer("null");
  }
  if (const Action* const action = action_named(call.action)) {
    need_method(*call.request, call.reply, action->method);
    return action->run(call);
  }
  throw Error(ErrorCode::no_route, printable(call.request->path) + " is not served by Glia");
}

}  // namespace

bool serve_vectorize_rest(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply,
                          const std::shared_ptr<http::Request>& request, std::string_view account,
                          std::string_view rest) {
  constexpr std::string_view kRoot = "vectorize/v2/indexes";
  if (!rest.starts_with("vectorize/")) return false;
  if (rest.starts_with("vectorize/indexes")) {
    throw Error(ErrorCode::not_served, "Vectorize's first version; the second is, under vectorize/v2");
  }
  if (!rest.starts_with(kRoot)) return false;
  rest.remove_prefix(kRoot.size());
  if (!rest.empty() && rest.front() != '/') return false;
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto name = rest.empty() ? rest : rest.substr(1);
  const auto slash = name.find('/');
  need_vectorize(*context);
  const auto& session = reply->session();
  const bool of_session = session != nullptr && session->account == account;
  auto call = std::make_shared<Call>();
  call->context = context;
  call->reply = reply;
  call->request = request;
  call->account = of_session ? session->vector_account : std::string(account);
  call->index = name.substr(0, slash);
  if (slash != std::string_view::npos) call->action = name.substr(slash + 1);
  const Action* const action = call->index.empty() ? nullptr : action_named(call->action);
  run_on_index(*call, action != nullptr && action->reads, [call] { route(*call); });
  return true;
}

}  // namespace glia::api
