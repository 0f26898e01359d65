#include "tasks/text_generation_run.h"

#include <utility>

#include "base/log.h"
#include "tasks/text_generation_prompt.h"

namespace glia::tasks {

TextGenerationRun::TextGenerationRun(TextGenerationJob job, Meter& meter, const Clock& clock,
                                     std::shared_ptr<RunSink> sink, std::function<void()> on_end)
    : job_(std::move(job)),
      meter_(meter),
      clock_(clock),
      sink_(std::move(sink)),
      on_end_(std::move(on_end)),
      run_ns_(clock.steady_ns()) {}

void TextGenerationRun::prepare(const std::shared_ptr<engine::ChatModel>& model) {
  try {
    prepare_or_throw(*model);
  } catch (const Error& e) {
    fail(e);
  } catch (const std::exception& e) {
    log::error("a run failed before it started", {{"model", job_.bill.model}, {"reason", e.what()}});
    fail(Error(ErrorCode::internal));
  }
}

void TextGenerationRun::prepare_or_throw(engine::ChatModel& model) {
  throw_if_cancelled();
  auto prompt = build_prompt(job_.input, model, job_.entry->context_window, clock_.unix_ms() / 1000);
  throw_if_cancelled();
  if (!prompt.note.empty()) job_.info.messages.push_back(std::move(prompt.note));
  job_.input.messages = {};  // as long as the run may live, the tokens are enough
  job_.input.raw_prompt = {};
  prompt_tokens_ = static_cast<std::int64_t>(prompt.tokens.size());
  const auto& price = job_.entry->price;
  meter_.reserve(job_.bill, price ? price->neurons(prompt_tokens_, prompt.max_tokens) : 0);
  reserved_ = true;

  engine::GenerateRequest request;
  request.prompt = std::move(prompt.tokens);
  request.max_tokens = prompt.max_tokens;
  request.stop = std::move(job_.input.stop);
  request.sampling = job_.input.sampling;
  request.account = job_.bill.account;
  request.prefix_cache = job_.prefix_cache;
  generate_ns_ = clock_.steady_ns();
  auto generation = model.generate(std::move(request), shared_from_this());
  // From here on the engine's thread may be in text() or done() already.
  bool cancelled = false;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    cancelled = cancelled_;
    generation_ = generation;
  }
  if (cancelled) generation->cancel();
}

bool TextGenerationRun::is_cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void TextGenerationRun::throw_if_cancelled() {
  if (is_cancelled()) throw Error(ErrorCode::aborted);
}

void TextGenerationRun::cancel() {
  std::shared_ptr<engine::Generation> generation;
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    generation = generation_;
  }
  if (generation) generation->cancel();
}

void TextGenerationRun::start() {
  if (started_) return;
  started_ = true;
  sink_->started(job_.info);
}

void TextGenerationRun::text(std::string_view piece, std::span<const std::int32_t> tokens) {
  sampled_tokens_ += static_cast<std::int64_t>(tokens.size());
  start();
  if (piece.empty()) return;
  answer_ += piece;
  sink_->text(piece);
}

void TextGenerationRun::done(const engine::GenerateResult& result) {
  TextResult out;
  out.finish_reason = engine::finish_reason_name(result.reason);
  out.usage = {result.usage.prompt_tokens, result.usage.completion_tokens, result.usage.cached_tokens};
  out.total_ms = ms_since_run(clock_.steady_ns());
  if (result.usage.completion_tokens > 0) {
    out.first_token_ms = ms_since_run(generate_ns_ + result.timing.first_token_ns);
  }
  if (result.reason == engine::FinishReason::cancelled) {
    if (out.usage.prompt_tokens + out.usage.completion_tokens == 0) {
      fail(Error(ErrorCode::aborted));
      return;
    }
  } else {
    start();
  }
  settle(std::move(out), std::nullopt);
}

void TextGenerationRun::failed(const Error& error) {
  if (sampled_tokens_ == 0) {
    fail(error);
    return;
  }
  TextResult used;
  used.usage = {prompt_tokens_, sampled_tokens_, 0};
  settle(std::move(used), error);
}

void TextGenerationRun::settle(TextResult result, std::optional<Error> error) {
  const auto& price = job_.entry->price;
  const auto& used = result.usage;
  result.neurons = price ? price->neurons(used.prompt_tokens, used.completion_tokens, used.cached_tokens) : 0;
  result.text = std::move(answer_);
  const auto usage = result.usage;
  const double neurons = result.neurons;
  const auto settled = [self = shared_from_this(), result = std::move(result), error](const Error* lost) {
    self->end([&] {
      if (error) {
        self->sink_->failed(*error);
      } else if (lost != nullptr) {
        self->sink_->failed(*lost);
      } else if (result.finish_reason == engine::finish_reason_name(engine::FinishReason::cancelled)) {
        self->sink_->cancelled(result);
      } else {
        self->sink_->finished(result);
      }
    });
  };
  meter_.settle(job_.bill, usage, neurons, settled);
}

void TextGenerationRun::fail(const Error& error) {
  if (reserved_) meter_.release(job_.bill);
  end([&] {
    if (error.code() == ErrorCode::aborted && is_cancelled()) {
      TextResult nothing;
      nothing.finish_reason = engine::finish_reason_name(engine::FinishReason::cancelled);
      nothing.total_ms = ms_since_run(clock_.steady_ns());
      sink_->cancelled(nothing);
    } else {
      sink_->failed(error);
    }
  });
}

void TextGenerationRun::end(const std::function<void()>& tell) {
  job_.place.reset();  // who hears the end finds the place free
  try {
    tell();
  } catch (const std::exception& e) {
    log::error("a run's receiver failed", {{"model", job_.bill.model}, {"reason", e.what()}});
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    generation_.reset();  // it may hold this run in turn
  }
  on_end_();
}

}  // namespace glia::tasks
