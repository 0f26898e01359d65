#include "api/text_call.h"

#include "base/log.h"
#include "base/utf8.h"

namespace glia::api {
namespace {

constexpr std::size_t kMaxNoteBytes = 1024;
constexpr std::size_t kMaxModelId = 256;
constexpr std::size_t kMaxAccount = 256;

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
    if (piece.empty() || !call_.stream) return;
    begin();
    reply_->write(call_.format->piece(piece));
  }

  void finished(const tasks::TextResult& result) override {
    reply_->set_tokens(result.usage.prompt_tokens, result.usage.completion_tokens);
    count("ok", result);
    if (call_.stream) {
      begin();
      reply_->write(call_.format->last(result));
      reply_->end();
    } else {
      reply_->json(200, call_.format->whole(info_, result));
    }
    tell("ok", nullptr, result);
  }

  void failed(const Error& error) override {
    if (error.code() == ErrorCode::no_such_model) log_nearest();
    count("error", {});
    if (begun_) {
      reply_->set_error(error);
      reply_->write(error_event(reply_->dialect(), error));
      reply_->end();
    } else {
      reply_->error(error, error.code() == ErrorCode::no_such_model ? "model" : "");
    }
    tell("error", &error, {});
  }

  void cancelled(const tasks::TextResult& partial) override {
    reply_->set_tokens(partial.usage.prompt_tokens, partial.usage.completion_tokens);
    count("cancelled", partial);
    reply_->close_log();
    tell("cancelled", nullptr, partial);
  }

 private:
  void begin() {
    if (begun_) return;
    begun_ = true;
    reply_->begin_stream();
    std::string first = call_.format->first(info_);
    if (!first.empty()) reply_->write(std::move(first));
  }

  void count(std::string_view outcome, const tasks::TextResult& result) {
    context_->metrics.run_ended(info_.model.empty() ? "unknown" : info_.model, outcome, result);
  }

  void log_nearest() {
    std::string names;
    for (const auto& id : context_->catalog().nearest(model_as_written_, 3)) names += (names.empty() ? "" : ", ") + id;
    log::warn("unknown model", {{"model", printable(model_as_written_)}, {"nearest", names}});
  }

  /// docs/protocol-internal.md: what glia-dev prints a line from.
  void tell(std::string_view status, const Error* error, const tasks::TextResult& result) {
    if (!call_.session) return;
    const double rest_ms = result.total_ms - result.first_token_ms;
    const bool rate = result.usage.completion_tokens > 1 && rest_ms > 0;
    const double total_ms =
        result.total_ms > 0 ? result.total_ms : static_cast<double>(context_->clock().steady_ns() - started_ns_) / 1e6;
    const auto number_or_null = [](bool known, double value) {
      return known ? json::value(value) : json::value(nullptr);
    };
    context_->sessions.tell(
        call_.session->id,
        {{"model", printable(info_.model.empty() ? model_as_written_ : info_.model)},
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
         {"total_ms", total_ms}});
  }

  std::shared_ptr<Context> context_;
  std::shared_ptr<Reply> reply_;
  TextCall call_;
  const std::string model_as_written_;
  const std::int64_t started_ns_;
  tasks::RunInfo info_;
  bool begun_ = false;
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

}  // namespace

void start_text_call(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, TextCall call) {
  call.request.request_id = reply->id();
  const auto sink = std::make_shared<Sink>(context, reply, std::move(call));
  std::shared_ptr<tasks::Run> run;
  try {
    check_names(sink->call().request);
    run = context->services.runner->run(std::move(sink->call().request), sink);
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
