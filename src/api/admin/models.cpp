#include "api/admin/models.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/run_request.h"
#include "base/duration.h"
#include "tasks/loaded_model.h"

namespace glia::api {
namespace {

using ContextPtr = std::shared_ptr<Context>;
using ReplyPtr = std::shared_ptr<Reply>;

/// As the engine names what it loaded.
std::filesystem::path plain(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
  return (failed ? path : absolute).lexically_normal();
}

/// The value below which `share` of the values lie, by the histogram's buckets; the last bound where it is beyond.
double quantile(const engine::Histogram& h, double share) {
  const double wanted = share * static_cast<double>(h.count);
  double below = 0;
  for (std::size_t i = 0; i < h.bounds.size(); ++i) {
    const auto here = static_cast<double>(h.counts[i]);
    if (here > 0 && below + here >= wanted) {
      const double from = i == 0 ? 0 : h.bounds[i - 1];
      return from + (h.bounds[i] - from) * (wanted - below) / here;
    }
    below += here;
  }
  return h.bounds.empty() ? 0 : h.bounds.back();
}

json::value summary(const engine::Histogram& h) {
  if (h.count == 0) return nullptr;
  return json::object{{"count", h.count},
                      {"mean", h.sum / static_cast<double>(h.count)},
                      {"p50", quantile(h, 0.5)},
                      {"p90", quantile(h, 0.9)},
                      {"p99", quantile(h, 0.99)}};
}

/// When an idle model goes, if nobody asks for it; null: only when another needs its memory.
json::value expires_in_ms(const engine::ModelStatus& m) {
  if (m.keep_alive_ms == engine::kForever) return nullptr;
  return std::max<std::int64_t>(0, m.keep_alive_ms - m.idle_ms.value_or(0));
}

json::object memory_json(const engine::ModelStatus& m) {
  return {{"name", m.name},
          {"file", m.path.filename().string()},
          {"bytes", m.bytes},
          {"weight_bytes", m.weight_bytes},
          {"kv_bytes", m.kv_bytes},
          {"scratch_bytes", m.scratch_bytes},
          {"kv_pages", m.kv_pages},
          {"load_ms", m.load_ms},
          {"keep_alive_ms", m.keep_alive_ms == engine::kForever ? json::value(nullptr) : json::value(m.keep_alive_ms)},
          {"expires_in_ms", expires_in_ms(m)}};
}

json::object status_json(const engine::ModelStatus& m, json::array ids) {
  json::object out = memory_json(m);
  out["ids"] = std::move(ids);
  out["loading"] = m.loading;
  out["stopping"] = m.stopping;
  out["idle_ms"] = m.idle_ms ? json::value(*m.idle_ms) : json::value(nullptr);
  out["running"] = m.running;
  out["queued"] = m.queued;
  out["kv_pages_used"] = m.kv_pages_used;
  out["kv_pages_cached"] = m.kv_pages_cached;
  out["prompt_tokens"] = m.prompt_tokens;
  out["cached_tokens"] = m.cached_tokens;
  out["generated_tokens"] = m.generated_tokens;
  out["drafted_tokens"] = m.drafted_tokens;
  out["accepted_tokens"] = m.accepted_tokens;
  out["set_back"] = m.set_back;
  out["recomputed_tokens"] = m.recomputed_tokens;
  out["steps"] = m.steps;
  out["tokens_per_s"] = m.tokens_per_s;
  const engine::ModelFigures& f = m.figures;
  out["prefix_hits"] = f.prefix_hits;
  out["generations"] = json::object{{"stop", f.stopped},
                                    {"length", f.out_of_tokens},
                                    {"cancelled", f.cancelled},
                                    {"failed", f.failed},
                                    {"refused", f.refused}};
  out["queued_ms"] = summary(f.queued_ms);
  out["first_token_ms"] = summary(f.first_token_ms);
  out["generation_tokens_per_s"] = summary(f.tokens_per_s);
  out["step_ms"] = summary(f.step_ms);
  out["batch_rows"] = summary(f.batch_rows);
  const engine::LoadFigures& l = m.loads;
  out["loads"] =
      json::object{{"ok", l.loads},        {"failed", l.failed},     {"evicted", l.evicted},    {"expired", l.expired},
                   {"stopped", l.stopped}, {"replaced", l.replaced}, {"ms", summary(l.load_ms)}};
  return out;
}

struct Named {
  std::string id;
  tasks::ModelKind kind = tasks::ModelKind::chat;
  tasks::ResolvedWeights weights;
};

/// The model that a body names. Errors: as a run of it.
Named named(const Context& context, const json::object& body) {
  const json::value* const model = body.if_contains("model");
  if (model == nullptr || !model->is_string()) throw Error(ErrorCode::invalid_input, "model: a string is expected");
  const std::string id(model->get_string());
  const auto* const entry = context.catalog().find(id);
  if (entry == nullptr) {
    std::string detail = printable(id, 128) + "; the nearest:";
    for (const auto& near : context.catalog().nearest(id, 3)) detail += " " + near;
    throw Error(ErrorCode::no_such_model, detail);
  }
  if (!entry->served()) {
    throw Error(ErrorCode::not_served, entry->id + ": the task " + entry->kind + " is not built in this version");
  }
  Named out{entry->id, tasks::kind_of(*entry), context.services.weights(*entry)};
  if (!out.weights.available) throw Error(ErrorCode::model_unavailable, out.weights.advice);
  return out;
}

engine::Engine& engine_of(const Context& context) {
  if (context.services.engine == nullptr) throw Error(ErrorCode::not_served, "no engine runs here");
  return *context.services.engine;
}

/// A number of seconds or text like "30m"; negative: for good.
std::optional<std::int64_t> keep_alive_of(const json::object& body) {
  const json::value* const field = body.if_contains("keep_alive");
  if (field == nullptr || field->is_null()) return std::nullopt;
  std::optional<std::int64_t> ms;
  if (field->is_string()) {
    const std::string_view text = field->get_string();
    ms = text == "-1" ? engine::kForever : parse_duration_ms(text);
  } else if (field->is_int64()) {
    ms = field->get_int64() < 0 ? engine::kForever : parse_duration_ms(std::to_string(field->get_int64()));
  }
  if (!ms) {
    throw Error(ErrorCode::invalid_input,
                "keep_alive: seconds, or text like \"30m\", is expected; 0: as soon as it is idle; -1: for good");
  }
  return ms;
}

json::object loaded_json(const Context& context, const Named& model, bool already) {
  json::object out{{"model", model.id}, {"already", already}};
  for (const auto& status : engine_of(context).status()) {
    if (status.path != plain(model.weights.path)) continue;
    for (auto& [key, value] : memory_json(status)) out[key] = std::move(value);
  }
  return out;
}

}  // namespace

void serve_models(const ContextPtr& context, const ReplyPtr& reply) {
  json::array out;
  for (const auto& entry : context->catalog().models()) {
    if (!entry.served()) continue;
    const tasks::ResolvedWeights weights = context->services.weights(entry);
    out.push_back(json::object{{"id", entry.id},
                               {"task", entry.task},
                               {"weights", weights.name},
                               {"stand_in", weights.stand_in},
                               {"available", weights.available},
                               {"file", weights.file},
                               {"package", weights.package},
                               {"advice", weights.advice}});
  }
  reply->json(200, json::serialize(out));
}

void serve_status(const ContextPtr& context, const ReplyPtr& reply) {
  engine::EngineFigures figures;
  std::vector<engine::ModelStatus> in_memory;
  if (const auto* const engine = context->services.engine; engine != nullptr) {
    figures = engine->figures();
    in_memory = engine->status();
  }
  std::map<std::filesystem::path, json::array> ids;
  if (!in_memory.empty()) {
    for (const auto& entry : context->catalog().models()) {
      if (!entry.served()) continue;
      const auto weights = context->services.weights(entry);
      if (weights.available) ids[plain(weights.path)].emplace_back(entry.id);
    }
  }
  json::array models;
  for (const auto& m : in_memory) models.push_back(status_json(m, ids[m.path]));
  reply->json(200, json::serialize(json::object{
                       {"models", std::move(models)},
                       {"memory", json::object{{"budget", figures.memory_budget}, {"used", figures.memory_used}}},
                       {"device", context->info.device},
                       {"profile", context->info.profile},
                       {"leases", context->sessions.leases().open}}));
}

void serve_load(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  need_method(request, reply, "POST");
  const json::object body = parse_object(request.body);
  const Named model = named(*context, body);
  const engine::AcquireOptions options{.keep_alive_ms = keep_alive_of(body)};
  engine_of(*context);
  run_on(context->loads, reply, [context, reply, model, options] {
    engine::Engine& engine = engine_of(*context);
    const bool already = tasks::holds(tasks::find(engine, model.kind, model.weights.path));
    const auto held = tasks::acquire(engine, model.kind, model.weights.path, options);
    reply->json(200, json::serialize(loaded_json(*context, model, already)));
  });
}

void serve_stop(const ContextPtr& context, const ReplyPtr& reply, const http::Request& request) {
  need_method(request, reply, "POST");
  const Named model = named(*context, parse_object(request.body));
  engine_of(*context);
  run_on(context->loads, reply, [context, reply, model] {
    const char* result = "not_loaded";
    switch (engine_of(*context).stop(model.weights.path)) {
      case engine::Stopped::now:
        result = "stopped";
        break;
      case engine::Stopped::when_idle:
        result = "when_idle";
        break;
      case engine::Stopped::not_loaded:
        break;
    }
    reply->json(200,
                json::serialize(json::object{{"model", model.id}, {"name", model.weights.name}, {"result", result}}));
  });
}

}  // namespace glia::api
