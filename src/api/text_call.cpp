#include "api/text_call.h"

#include "api/rehearsal/faulty_sink.h"
#include "api/rehearsal/rehearsal.h"
#include "base/log.h"
#include "base/utf8.h"

namespace glia::api {
namespace {

constexpr std::size_t kMaxNoteBytes = 1024;
constexpr std::size_t kMaxModelId = 256;
constexpr std::size_t kMaxAccount = 256;
constexpr std::string_view kGenerates = "Text Generation";  ///< inputs of other tasks have no seed and no stream

std::string joined(const std::vector<std::string>& notes) {
  std::string out;
  for (const auto& note : notes) {
    if (!out.empty()) out += "; ";
    out += note;
  }
  return printable(out, kMaxNoteBytes);
}

class Sink final : public tasks::RunSink {
 public:
  Sink(std::shared_ptr<Context> context, std::shared_ptr<Reply> reply, TextCall call)
      : context_(std::move(context)),
        reply_(std::move(reply)),
        call_(std::move(call)),
        model_as_written_(call_.request.model),
        started_ns_(context_->clock().steady_ns()) {
    context_->metrics.run_started();
  }

  TextCall& call() { return call_; }

  void started(const tasks::RunInfo& info) override {
    info_ = info;
    info_.messages.insert(info_.messages.begin(), call_.notes.begin(), call_.notes.end());
    reply_->set_model(info_.model);
    reply_->add_header("x-glia-model", info_.weights + (info_.stand_in ? "; stand-in" : ""));
    if (!info_.messages.empty()) reply_->add_header("x-glia-note", joined(info_.messages));
  }

  void text(std::string_view piece) override {
    if (piece.empty() || cut_) return;
    if (cuts() && pieces_++ >= call_.fault->after_tokens) return cut();
    if (!call_.stream) return;
    begin();
    reply_->write(call_.format->piece(piece));
  }

  void finished(const tasks::TextResult& result) override {
    if (cuts() && !cut_) cut();
    if (cut_) return cancelled(result);
    reply_->set_tokens(result.usage.prompt_tokens, result.usage.completion_tokens);
    count("ok", result);
    tell("ok", nullptr, result);  // before the last byte: who has the answer can ask what it cost
    if (call_.stream) {
      begin();
      reply_->write(call_.format->last(result));
      reply_->end();
    } else {
      reply_->json(200, call_.format->whole(info_, result));
    }
  }

  void encoded(const tasks::EncodingResult& result) override {
    if (cuts()) {
      cut();
      return cancelled(result);
    }
    reply_->set_tokens(result.usage.prompt_tokens, 0);
    count("ok", result);
    tell("ok", nullptr, result);
    reply_->json(200, call_.format->encoded(info_, result));
  }

  void failed(const Error& error) override {
    if (cut_) return cancelled({});
    if (error.code() == ErrorCode::no_such_model) log_nearest();
    count("error", {});
    tell("error", &error, {});
    if (begun_) {
      reply_->set_error(error);
      reply_->write(error_event(reply_->dialect(), error));
      reply_->end();
    } else {
      reply_->error(error, error.code() == ErrorCode::no_such_model ? "model" : "");
    }
  }

  void cancelled(const tasks::RunResult& partial) override {
    reply_->set_tokens(partial.usage.prompt_tokens, partial.usage.completion_tokens);
    count("cancelled", partial);
    reply_->close_log();
    tell("cancelled", nullptr, partial);
  }

 private:
  bool cuts() const { return call_.fault && call_.fault->kind == FaultKind::cut; }
  void cut() {
    cut_ = true;
    reply_->cut();  // the run is cancelled, as when a client leaves
  }

  void begin() {
    if (begun_) return;
    begun_ = true;
    reply_->begin_stream();
    std::string first = call_.format->first(info_);
    if (!first.empty()) reply_->write(std::move(first));
  }

  void count(std::string_view outcome, const tasks::RunResult& result) {
    context_->metrics.run_ended(info_.model.empty() ? "unknown" : info_.model, outcome, result);
  }

  void log_nearest() {
    std::string names;
    for (const auto& id : context_->catalog().nearest(model_as_written_, 3)) names += (names.empty() ? "" : ", ") + id;
    log::warn("unknown model", {{"model", printable(model_as_written_)}, {"nearest", names}});
  }

  /// docs/protocol-internal.md: what glia-dev prints a line from.
  void tell(std::string_view status, const Error* error, const tasks::RunResult& result) {
    if (!call_.session) return;
    const double rest_ms = result.total_ms - result.first_token_ms;
    const bool rate = result.usage.completion_tokens > 1 && rest_ms > 0;
    const double total_ms =
        result.total_ms > 0 ? result.total_ms : static_cast<double>(context_->clock().steady_ns() - started_ns_) / 1e6;
    const auto number_or_null = [](bool known, double value) {
      return known ? json::value(value) : json::value(nullptr);
    };
    const json::object event{
        {"model", printable(info_.model.empty() ? model_as_written_ : info_.model)},
        {"weights", info_.weights.empty() ? json::value(nullptr) : json::value(info_.weights)},
        {"stand_in", info_.stand_in},
        {"status", status},
        {"code", error != nullptr ? json::value(cloudflare_code(error->code())) : json::value(nullptr)},
        {"message", error != nullptr ? json::value(error->message()) : json::value(nullptr)},
        {"first_token_ms", number_or_null(result.first_token_ms > 0, result.first_token_ms)},
        {"tokens_per_s",
         number_or_null(rate, static_cast<double>(result.usage.completion_tokens - 1) * 1000 / rest_ms)},
        {"prompt_tokens", result.usage.prompt_tokens},
        {"completion_tokens", result.usage.completion_tokens},
        {"neurons", result.neurons},
        {"fault", call_.fault ? json::value(fault_name(*call_.fault)) : json::value(nullptr)},
        {"total_ms", total_ms}};
    if (call_.session->rehearsal) call_.session->rehearsal->record(event);
    context_->sessions.tell(call_.session->id, event);
  }

  std::shared_ptr<Context> context_;
  std::shared_ptr<Reply> reply_;
  TextCall call_;
  const std::string model_as_written_;
  const std::int64_t started_ns_;
  tasks::RunInfo info_;
  bool begun_ = false;
  std::int64_t pieces_ = 0;
  bool cut_ = false;
};

/// What goes into the ledger, the log and the search for near ids.
void check_names(const tasks::RunRequest& request) {
  if (request.model.size() > kMaxModelId || first_invalid_utf8(request.model) != std::string_view::npos) {
    throw Error(ErrorCode::invalid_model_id, "no id is longer than " + std::to_string(kMaxModelId) + " bytes of UTF-8");
  }
  if (request.account.size() > kMaxAccount) {
    throw Error(ErrorCode::no_route, "no account is longer than " + std::to_string(kMaxAccount) + " bytes");
  }
}

/// What a call has of its session: who pays and how, a seed, a fault.
void enrol(const Context& context, const std::shared_ptr<Reply>& reply, TextCall& call) {
  if (!call.session) call.session = reply->session();
  if (!call.session) return;
  call.request.account = call.session->account;
  call.request.plan = call.session->plan;
  call.request.rate_limits = call.session->rate_limits;
  if (!call.session->rehearsal) return;
  call.request.prefix_cache = !call.session->rehearsal->seeded();
  const auto* entry = context.catalog().find(call.request.model);
  if (entry != nullptr && entry->task == kGenerates) {
    call.session->rehearsal->seed(entry->id, call.request.inputs);
  }
  call.fault = call.session->rehearsal->faults().next(call.request.model, dialect_name(reply->dialect()));
}

/// Starts the run, under the call's fault where it has one. Errors: the Runner's, and the fault's own.
std::shared_ptr<tasks::Run> start_run(Context& context, TextCall& call, std::shared_ptr<tasks::RunSink> sink) {
  tasks::Runner& runner = *context.services.runner;
  if (!call.fault || call.fault->kind == FaultKind::cut) return runner.run(std::move(call.request), std::move(sink));
  if (call.fault->kind == FaultKind::error) {
    throw fault_error(*call.fault, context.catalog().find(call.request.model), context.clock());
  }
  const auto* entry = context.catalog().find(call.request.model);
  const FaultyRun faulty =
      call.fault->kind == FaultKind::slow
          ? slow_run(*call.fault, context.pacer, std::move(sink))
          : empty_run(entry != nullptr && entry->task == kGenerates, call.request.inputs, std::move(sink));
  return faulty.wrap(runner.run(std::move(call.request), faulty.sink));
}

}  // namespace

void start_text_call(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, TextCall call) {
  call.request.request_id = reply->id();
  call.request.session_returns = reply->session_returns();
  enrol(*context, reply, call);
  const auto sink = std::make_shared<Sink>(context, reply, std::move(call));
  std::shared_ptr<tasks::Run> run;
  try {
    check_names(sink->call().request);
    run = start_run(*context, sink->call(), sink);
  } catch (const Error& error) {
    sink->failed(error);
    return;
  }
  reply->on_leave([run] { run->cancel(); });
}

bool wants_stream(const json::object& inputs) {
  const auto* stream = inputs.if_contains("stream");
  return stream != nullptr && stream->is_bool() && stream->get_bool();
}

json::object usage_object(const tasks::TokenUsage& usage) {
  json::object out{{"prompt_tokens", usage.prompt_tokens},
                   {"completion_tokens", usage.completion_tokens},
                   {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
  if (usage.cached_tokens > 0) {
    out["prompt_tokens_details"] = json::object{{"cached_tokens", usage.cached_tokens}};
  }
  return out;
}

}  // namespace glia::api
