#include "vector_verbs.h"

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include <CLI/CLI.hpp>

#include "base/json.h"
#include "http/client.h"
#include "http/url.h"
#include "server_call.h"
#include "terminal.h"

namespace glia::cli {
namespace {

constexpr std::size_t kBatch = 1000;  ///< vectors a call, as wrangler sends them

/// What the flags gave; each verb uses its part.
struct Given {
  std::string account = "local";
  std::string name, preset, metric, description, file, vector_id, ns, filter, property, type, cursor;
  std::string metadata = "none";
  int dimensions = 0;
  int top_k = 5;
  int count = 100;
  std::size_t batch = kBatch;
  std::vector<double> vector;
  std::vector<std::string> ids;
  bool values = false;
  bool as_json = false;
};

/// The result in the envelope. Errors: std::runtime_error with what the server said.
json::value ask(const Settings& settings, const Given& g, const char* method, const std::string& path,
                const std::string& body = {}, const std::string& type = "application/json") {
  const std::string url =
      server_url(settings) + "/client/v4/accounts/" + http::percent_encode(g.account) + "/vectorize/v2/indexes" + path;
  http::ClientResponse answer;
  try {
    answer = http::request(method, url, {{"content-type", type}}, body, {}, {.idle_timeout_ms = 600'000});
  } catch (const http::Unreachable&) {
    throw std::runtime_error("nothing answers at " + server_url(settings) +
                             "; start it with `glia serve`, or name its --host and --port");
  }
  json::value envelope;
  try {
    envelope = parse_json(answer.body);
    if (answer.status < 300) {
      for (const auto& note : envelope.at("messages").as_array()) {
        std::cerr << styled(2, Style::yellow, "note: ") << std::string(note.at("message").as_string()) << "\n";
      }
      return envelope.at("result");
    }
    const auto& error = envelope.at("errors").as_array().at(0);
    throw std::runtime_error(std::string(error.at("message").as_string()) +
                             " [code: " + std::to_string(error.at("code").to_number<int>()) + "]");
  } catch (const boost::system::system_error&) {
    throw std::runtime_error("what answers at " + server_url(settings) + " is not glia serve");
  } catch (const Error&) {
    throw std::runtime_error("what answers at " + server_url(settings) + " is not glia serve");
  }
}

std::string path_of(const Given& g, const std::string& action = {}) {
  return "/" + http::percent_encode(g.name) + (action.empty() ? "" : "/" + action);
}

std::string text(const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  return value.is_null() ? "-" : json::serialize(value);
}

int print(const json::value& value) {
  std::cout << json::serialize(value) << "\n";
  return 0;
}

int show_indexes(const json::array& indexes) {
  Table table({"NAME", "DIMENSIONS", "METRIC", "DESCRIPTION", "CREATED"}, {1});
  for (const auto& i : indexes) {
    table.add({text(i.at("name")), text(i.at("config").at("dimensions")), text(i.at("config").at("metric")),
               text(i.at("description")), text(i.at("created_on"))});
  }
  std::cout << (table.empty() ? "No vector indexes. `glia vectorize create NAME …` makes one.\n" : table.text());
  return 0;
}

int create(const Settings& settings, const Given& g) {
  json::object config;
  if (!g.preset.empty()) {
    config["preset"] = g.preset;
  } else if (g.dimensions > 0 && !g.metric.empty()) {
    config = {{"dimensions", g.dimensions}, {"metric", g.metric}};
  } else {
    throw UsageError("--dimensions and --metric are needed, or a --preset");
  }
  json::object body{{"name", g.name}, {"config", std::move(config)}};
  if (!g.description.empty()) body["description"] = g.description;
  const auto index = ask(settings, g, "POST", "", json::serialize(body));
  if (g.as_json) return print(index);
  std::cout << "Made the index " << g.name << ". In wrangler.toml:\n\n[[vectorize]]\nbinding = \"VECTORIZE\"\n"
            << "index_name = \"" << g.name << "\"\n";
  return 0;
}

int write(const Settings& settings, const Given& g, const std::string& action) {
  std::ifstream file(g.file);
  if (!file) throw UsageError("cannot read " + g.file);
  std::size_t all = 0;
  std::size_t lines = 0;
  std::string body;
  json::value last;
  const auto send = [&] {
    if (lines == 0) return;
    last = ask(settings, g, "POST", path_of(g, action), body, "application/x-ndjson");
    all += lines;
    lines = 0;
    body.clear();
  };
  for (std::string line; std::getline(file, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    body += line + "\n";
    if (++lines == std::max<std::size_t>(1, g.batch)) send();
  }
  send();
  if (all == 0) throw UsageError(g.file + " has no vector");
  if (g.as_json) return print(json::object{{"index", g.name}, {"count", all}});
  std::cout << human_count(static_cast<std::int64_t>(all)) << " vectors are on their way into " << g.name
            << "; the last mutation is " << text(last.at("mutationId")) << "\n";
  return 0;
}

int query(const Settings& settings, const Given& g) {
  json::object body{{"topK", g.top_k}, {"returnValues", g.values}, {"returnMetadata", g.metadata}};
  if (!g.vector.empty() == !g.vector_id.empty()) throw UsageError("one of --vector and --vector-id is needed");
  if (!g.vector_id.empty()) body["vectorId"] = g.vector_id;
  if (!g.vector.empty()) body["vector"] = json::array(g.vector.begin(), g.vector.end());
  if (!g.ns.empty()) body["namespace"] = g.ns;
  if (!g.filter.empty()) {
    try {
      body["filter"] = parse_json(g.filter);
    } catch (const Error& error) {
      throw UsageError("--filter: " + error.detail());
    }
  }
  const auto result = ask(settings, g, "POST", path_of(g, "query"), json::serialize(body));
  if (g.as_json || g.values) return print(result);
  Table table({"ID", "SCORE", "NAMESPACE", "METADATA"}, {1});
  for (const auto& m : result.at("matches").as_array()) {
    const auto& match = m.as_object();
    const auto field = [&](std::string_view name) {
      const auto* value = match.if_contains(name);
      return value == nullptr ? std::string("-") : text(*value);
    };
    table.add({field("id"), fixed(match.at("score").to_number<double>(), 6), field("namespace"), field("metadata")});
  }
  std::cout << (table.empty() ? "No vector matches.\n" : table.text());
  return 0;
}

int list_vectors(const Settings& settings, const Given& g) {
  std::string path = path_of(g, "list") + "?count=" + std::to_string(g.count);
  if (!g.cursor.empty()) path += "&cursor=" + http::percent_encode(g.cursor);
  const auto page = ask(settings, g, "GET", path);
  if (g.as_json) return print(page);
  for (const auto& vector : page.at("vectors").as_array()) std::cout << text(vector.at("id")) << "\n";
  std::cerr << text(page.at("count")) << " of " << text(page.at("totalCount")) << "\n";
  if (page.at("isTruncated").as_bool()) std::cerr << "more: --cursor " << text(page.at("nextCursor")) << "\n";
  return 0;
}

std::string ids_body(const Given& g) {
  return json::serialize(json::object{{"ids", json::array(g.ids.begin(), g.ids.end())}});
}

int mutated(const Given& g, const json::value& result) {
  if (g.as_json) return print(result);
  std::cout << "On its way; the mutation is " << text(result.at("mutationId")) << "\n";
  return 0;
}

/// The subcommands, as they are added.
class Verbs {
 public:
  using Run = std::function<int(const Settings&, const Given&)>;

  Verbs(CLI::App& group, GivenSettings& settings, const std::function<void(CLI::App&)>& address,
        std::function<int()>& verb)
      : group_(group), settings_(settings), address_(address), verb_(verb) {}

  CLI::App& add(const std::string& name, const std::string& what, Run run, bool of_index = true) {
    auto* c = group_.add_subcommand(name, what);
    address_(*c);
    c->add_option("--account", given_->account, "Whose indexes (default: local)");
    c->add_flag("--json", given_->as_json, "As JSON");
    if (of_index) c->add_option("name", given_->name, "The index")->required();
    c->callback([this_given = given_, &settings = settings_, &verb = verb_, run = std::move(run)] {
      verb = [=, &settings] { return run(settle_settings(settings), *this_given); };
    });
    return *c;
  }
  Given& given() { return *given_; }

 private:
  CLI::App& group_;
  GivenSettings& settings_;
  const std::function<void(CLI::App&)>& address_;
  std::function<int()>& verb_;
  std::shared_ptr<Given> given_ = std::make_shared<Given>();
};

void add_index_verbs(Verbs& verbs) {
  Given& g = verbs.given();
  auto& made = verbs.add("create", "Make an index", create);
  made.add_option("--dimensions", g.dimensions, "Values of its vectors");
  made.add_option("--metric", g.metric, "cosine, euclidean or dot-product");
  made.add_option("--preset", g.preset, "Of an embedding model, for example @cf/baai/bge-base-en-v1.5");
  made.add_option("--description", g.description, "A text about it");
  verbs.add(
      "list", "Indexes of the account",
      [](const Settings& s, const Given& given) {
        const auto all = ask(s, given, "GET", "");
        return given.as_json ? print(all) : show_indexes(all.as_array());
      },
      false);
  verbs.add("get", "One index", [](const Settings& s, const Given& given) {
    const auto index = ask(s, given, "GET", path_of(given));
    return given.as_json ? print(index) : show_indexes({index});
  });
  verbs.add("info", "How many vectors it has, and what it has processed", [](const Settings& s, const Given& given) {
    const auto info = ask(s, given, "GET", path_of(given, "info"));
    if (given.as_json) return print(info);
    Table table({"DIMENSIONS", "VECTORS", "PROCESSED UP TO", "MUTATION"}, {0, 1});
    table.add({text(info.at("dimensions")), human_count(info.at("vectorCount").to_number<std::int64_t>()),
               text(info.at("processedUpToDatetime")), text(info.at("processedUpToMutation"))});
    std::cout << table.text();
    return 0;
  });
  verbs.add("delete", "Delete an index with all its vectors", [](const Settings& s, const Given& given) {
    ask(s, given, "DELETE", path_of(given));
    std::cout << "Deleted " << given.name << ".\n";
    return 0;
  });
}

void add_vectors_verbs(Verbs& verbs) {
  Given& g = verbs.given();
  for (const std::string action : {"insert", "upsert"}) {
    auto& c = verbs.add(action, action == "insert" ? "Add vectors; ids that are there stay" : "Add or replace vectors",
                        [action](const Settings& s, const Given& given) { return write(s, given, action); });
    c.add_option("--file", g.file, "NDJSON: {\"id\", \"values\", \"namespace\"?, \"metadata\"?} a line")->required();
    c.add_option("--batch-size", g.batch, "Vectors a call (default: 1000)")->check(CLI::Range(1, 100'000));
  }
  auto& q = verbs.add("query", "The nearest vectors", query);
  q.add_option("--vector", g.vector, "Its values")->delimiter(',');
  q.add_option("--vector-id", g.vector_id, "Of a vector that is there");
  q.add_option("--top-k", g.top_k, "How many (default: 5)");
  q.add_flag("--return-values", g.values, "Their values, too (as JSON)");
  q.add_option("--return-metadata", g.metadata, "none (default), indexed or all");
  q.add_option("--namespace", g.ns, "Only within it");
  q.add_option("--filter", g.filter, "JSON: {\"property\": {\"$gte\": 1}}");
  auto& get = verbs.add("get-vectors", "Vectors by id", [](const Settings& s, const Given& given) {
    return print(ask(s, given, "POST", path_of(given, "get_by_ids"), ids_body(given)));
  });
  get.add_option("--ids", g.ids, "Their ids")->required();
  auto& gone = verbs.add("delete-vectors", "Delete vectors by id", [](const Settings& s, const Given& given) {
    return mutated(given, ask(s, given, "POST", path_of(given, "delete_by_ids"), ids_body(given)));
  });
  gone.add_option("--ids", g.ids, "Their ids")->required();
  auto& all = verbs.add("list-vectors", "Ids of an index, page by page", list_vectors);
  all.add_option("--count", g.count, "Of a page (default: 100)");
  all.add_option("--cursor", g.cursor, "The next page");
}

void add_property_verbs(Verbs& verbs) {
  Given& g = verbs.given();
  auto& made = verbs.add(
      "create-metadata-index", "Make a property one that queries can filter by",
      [](const Settings& s, const Given& given) {
        const json::object body{{"propertyName", given.property}, {"indexType", given.type}};
        return mutated(given, ask(s, given, "POST", path_of(given, "metadata_index/create"), json::serialize(body)));
      });
  made.add_option("--property-name,--propertyName", g.property, "The property; `a.b` is b within a")->required();
  made.add_option("--type", g.type, "string, number or boolean")->required();
  verbs.add("list-metadata-index", "Properties that queries can filter by", [](const Settings& s, const Given& given) {
    const auto result = ask(s, given, "GET", path_of(given, "metadata_index/list"));
    if (given.as_json) return print(result);
    Table table({"PROPERTY", "TYPE"});
    for (const auto& i : result.at("metadataIndexes").as_array()) {
      table.add({text(i.at("propertyName")), text(i.at("indexType"))});
    }
    std::cout << (table.empty() ? "No metadata indexes.\n" : table.text());
    return 0;
  });
  auto& gone = verbs.add("delete-metadata-index", "Remove one", [](const Settings& s, const Given& given) {
    const json::object body{{"propertyName", given.property}};
    return mutated(given, ask(s, given, "POST", path_of(given, "metadata_index/delete"), json::serialize(body)));
  });
  gone.add_option("--property-name,--propertyName", g.property, "The property")->required();
}

}  // namespace

void add_vector_verbs(CLI::App& app, GivenSettings& given, const std::function<void(CLI::App&)>& address,
                      std::function<int()>& verb) {
  auto* group = app.add_subcommand("vectorize", "Vector indexes of a running glia serve: wrangler's verbs and flags");
  group->require_subcommand(1);
  Verbs verbs(*group, given, address, verb);
  add_index_verbs(verbs);
  add_vectors_verbs(verbs);
  add_property_verbs(verbs);
}

}  // namespace glia::cli
