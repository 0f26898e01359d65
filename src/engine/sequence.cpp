#include "engine/sequence.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace glia::engine {
namespace {

constexpr std::size_t kMaxStops = 64;
constexpr std::size_t kMaxStopBytes = 1024;

[[noreturn]] void refuse(const std::string& detail) { throw Error(ErrorCode::invalid_input, detail); }

std::vector<std::int32_t> prompt_with_room(std::vector<std::int32_t>&& prompt, std::int32_t max_tokens) {
  prompt.reserve(prompt.size() + static_cast<std::size_t>(max_tokens));
  return std::move(prompt);
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
  }
  return "";
}

void check_request(const GenerateRequest& request, std::int32_t vocab, std::int32_t context) {
  if (request.prompt.empty()) refuse("the prompt is empty");
  if (request.max_tokens < 1) refuse("max_tokens must be at least 1");
  const std::size_t prompt = request.prompt.size();
  if (prompt + static_cast<std::size_t>(request.max_tokens) > static_cast<std::size_t>(context)) {
    throw Error(ErrorCode::context_too_long,
                std::to_string(prompt) + " prompt tokens and up to " + std::to_string(request.max_tokens) +
                    " answer tokens exceed the context of " + std::to_string(context) + " tokens");
  }
  for (const std::int32_t id : request.prompt) {
    if (id < 0 || id >= vocab) refuse("the prompt holds a token that the model does not know");
  }
  if (request.stop.size() > kMaxStops) refuse("more than " + std::to_string(kMaxStops) + " stop strings");
  for (const std::string& stop : request.stop) {
    if (stop.empty()) refuse("a stop string is empty");
    if (stop.size() > kMaxStopBytes) {
      refuse("a stop string is longer than " + std::to_string(kMaxStopBytes) + " bytes");
    }
    if (first_invalid_utf8(stop) != std::string_view::npos) refuse("a stop string is not valid UTF-8");
  }
  check_sampling(request.sampling);
}

Sequence::Sequence(GenerateRequest&& request, std::shared_ptr<GenerationSink> sink, const LoadedModel& model,
                   std::uint64_t seed, bool guesses, std::int64_t now_ns)
    : submitted_ns(now_ns),
      sink_(std::move(sink)),
      account_(std::move(request.account)),
      tokens_(prompt_with_room(std::move(request.prompt), request.max_tokens)),
      prompt_tokens_(static_cast<std::int32_t>(tokens_.size())),
      max_tokens_(request.max_tokens),
      prefix_cache_(request.prefix_cache),
      ignore_end_tokens_(request.ignore_end_tokens),
      sampler_(request.sampling, request.sampling.seed.value_or(seed), tokens_, model.model->info().vocab,
               request.max_tokens),
      decoder_(model.make_decoder()),
      stops_(request.stop),
      reported_(tokens_.size()) {
  if (!guesses || max_tokens_ < 2) return;
  lookup_.emplace(tokens_.size() + static_cast<std::size_t>(max_tokens_));
  draft_.reserve(kMostDrafts);
}

std::optional<FinishReason> Sequence::advance(std::span<float> logits, TokenWeights& weights,
                                              const LoadedModel& model) {
  const std::int32_t id = sampler_.sample(logits, static_cast<std::uint64_t>(answer_tokens()), weights);
  sampler_.accept(id);
  tokens_.push_back(id);
  const bool ends =
      !ignore_end_tokens_ && std::find(model.end_tokens.begin(), model.end_tokens.end(), id) != model.end_tokens.end();
  bool stopped = !ends && stops_.push(decoder_->push(id), piece_);
  const bool full = answer_tokens() >= max_tokens_;
  if (!stopped && (ends || full)) {
    stopped = stops_.push(decoder_->finish(), piece_);
    if (!stopped) stops_.finish(piece_);
  }
  const bool last = ends || stopped || full;
  emit(last);
  if (!last) return std::nullopt;
  return ends || stopped ? FinishReason::stop : FinishReason::length;
}

PromptLookup::Guess Sequence::guess() {
  guess_ = {};
  draft_.clear();
  if (!lookup_) return guess_;
  draft_.resize(static_cast<std::size_t>(std::clamp(tokens_left() - 1, 0, kMostDrafts)));
  guess_ = lookup_->guess(tokens_, draft_);
  draft_.resize(guess_.count);
  return guess_;
}

void Sequence::learn(std::int32_t tried, std::int32_t right) {
  lookup_->learn(guess_.agreed, static_cast<std::size_t>(tried), static_cast<std::size_t>(right));
}

void Sequence::emit(bool last) {
  if (piece_.empty() && !(last && reported_ < tokens_.size())) return;
  sink_->text(piece_, tokens().subspan(reported_));
  reported_ = tokens_.size();
  piece_.clear();
}

GenerateResult Sequence::result(FinishReason reason, std::int64_t now_ns) const {
  GenerateResult r;
  r.reason = reason;
  r.usage.prompt_tokens = std::min(prompt_tokens_, reached);
  r.usage.completion_tokens = answer_tokens();
  r.usage.cached_tokens = cached_tokens;
  r.timing.total_ns = now_ns - submitted_ns;
  r.timing.queued_ns = scheduled_ns < 0 ? r.timing.total_ns : scheduled_ns - submitted_ns;
  r.timing.first_token_ns = first_token_ns < 0 ? r.timing.total_ns : first_token_ns - submitted_ns;
  return r;
}

}  // namespace glia::engine
