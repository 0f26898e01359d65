#include "tasks/text_generation_run.h"

#include <utility>

#include "tasks/text_generation_prompt.h"

namespace glia::tasks {

TextGenerationRun::TextGenerationRun(Job job, TextGenerationInput input, engine::PrefixCache prefix_cache, Meter& meter,
                                     const Clock& clock, std::shared_ptr<RunSink> sink, std::function<void()> on_end)
    : LocalRun(std::move(job), meter, clock, std::move(sink), std::move(on_end)),
      input_(std::move(input)),
      prefix_cache_(prefix_cache) {}

void TextGenerationRun::prepare_or_throw(const LoadedModel& loaded) {
  auto& model = *std::get<std::shared_ptr<engine::ChatModel>>(loaded);
  auto prompt = build_prompt(input_, model, job().entry->context_window, clock().unix_ms() / 1000);
  throw_if_cancelled();
  if (!prompt.note.empty()) note(std::move(prompt.note));
  input_.messages = {};  // as long as the run may live, the tokens are enough
  input_.raw_prompt = {};
  prompt_tokens_ = static_cast<std::int64_t>(prompt.tokens.size());
  reserve({prompt_tokens_, prompt.max_tokens, 0});

  engine::GenerateRequest request;
  request.prompt = std::move(prompt.tokens);
  request.max_tokens = prompt.max_tokens;
  request.stop = std::move(input_.stop);
  request.sampling = input_.sampling;
  request.account = job().bill.account;
  request.prefix_cache = prefix_cache_;
  generate_ns_ = clock().steady_ns();
  // From here on the engine's thread may be in text() or done() already.
  running(model.generate(std::move(request), std::shared_ptr<engine::GenerationSink>(shared_from_this(), this)));
}

void TextGenerationRun::text(std::string_view piece, std::span<const std::int32_t> tokens) {
  sampled_tokens_ += static_cast<std::int64_t>(tokens.size());
  start();
  if (piece.empty()) return;
  answer_ += piece;
  sink().text(piece);
}

void TextGenerationRun::done(const engine::GenerateResult& result) {
  TextResult out;
  out.finish_reason = engine::finish_reason_name(result.reason);
  out.usage = {result.usage.prompt_tokens, result.usage.completion_tokens, result.usage.cached_tokens};
  out.total_ms = ms_since_run();
  if (result.usage.completion_tokens > 0) {
    out.first_token_ms = ms_since_run(generate_ns_ + result.timing.first_token_ns);
  }
  const bool cancelled = result.reason == engine::FinishReason::cancelled;
  if (cancelled) {
    if (out.usage.prompt_tokens + out.usage.completion_tokens == 0) {
      fail(Error(ErrorCode::aborted));
      return;
    }
  } else {
    start();
  }
  settle_text(std::move(out), cancelled, std::nullopt);
}

void TextGenerationRun::failed(const Error& error) {
  if (sampled_tokens_ == 0) {
    fail(error);
    return;
  }
  TextResult used;
  used.usage = {prompt_tokens_, sampled_tokens_, 0};
  settle_text(std::move(used), false, error);
}

void TextGenerationRun::settle_text(TextResult result, bool cancelled, std::optional<Error> error) {
  result.neurons = neurons(result.usage);
  result.text = std::move(answer_);
  const RunResult used = result;
  settle(used, [this, result = std::move(result), cancelled, error](const Error* lost) {
    if (error) {
      sink().failed(*error);
    } else if (lost != nullptr) {
      sink().failed(*lost);
    } else if (cancelled) {
      sink().cancelled(result);
    } else {
      sink().finished(result);
    }
  });
}

}  // namespace glia::tasks
