#include "tasks/encoding_run.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "tasks/late_interaction.h"

namespace glia::tasks {
namespace {

/// No vocabulary has a longer token, so a text of more bytes than this times the window is not tokenised.
constexpr std::size_t kLongestToken = 512;

/// Tokens whose states are in memory at once.
constexpr std::size_t kMostStates = 8192;

std::vector<ContextScore> best_first(std::span<const double> scores, std::optional<std::size_t> top_k) {
  std::vector<ContextScore> out;
  for (std::size_t i = 0; i < scores.size(); i++) out.push_back({i, scores[i]});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  if (top_k && *top_k < out.size()) out.resize(*top_k);
  return out;
}

std::string pooling_name(engine::Pooling pooling) {
  switch (pooling) {
    case engine::Pooling::first:
      return "cls";
    case engine::Pooling::mean:
      return "mean";
    case engine::Pooling::max:
      return "max";
    case engine::Pooling::last:
      return "last";
  }
  return {};
}

}  // namespace

EncodingRun::EncodingRun(Job job, EncodingInput input, WorkQueue& work, Meter& meter, const Clock& clock,
                         std::shared_ptr<RunSink> sink, std::function<void()> on_end)
    : LocalRun(std::move(job), meter, clock, std::move(sink), std::move(on_end)),
      input_(std::move(input)),
      work_(work) {}

void EncodingRun::prepare_or_throw(const LoadedModel& loaded) {
  model_ = std::get<std::shared_ptr<engine::TextEncoder>>(loaded);
  check_weights();
  const bool classifies = !model_->info().labels.empty();
  if (input_.task == EncodingTask::classification || (input_.task == EncodingTask::relevance && classifies)) {
    output_ = engine::EncodeOutput::probabilities;
  } else if (input_.task == EncodingTask::relevance) {
    output_ = engine::EncodeOutput::states;
  }
  tokenise();
  throw_if_cancelled();
  input_.texts = {};
  std::int64_t tokens = 0;
  for (const engine::EncodeText& text : texts_) tokens += static_cast<std::int64_t>(text.tokens.size());
  reserve({tokens, 0, 0});
  submit();
}

void EncodingRun::check_weights() const {
  const auto& info = model_->info();
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorCode::model_unavailable, "the weights that answer here (" + model_->name() + ") " + why);
  };
  if (input_.task == EncodingTask::classification && info.labels.empty()) refuse("tell no labels apart");
  if (input_.task == EncodingTask::relevance && info.labels.size() > 1) refuse("tell labels apart, and score no texts");
  const auto dimensions = job().entry->dimensions;
  if (input_.task == EncodingTask::embeddings && dimensions > 0 && info.width > dimensions) {
    refuse("give " + std::to_string(info.width) + " values, " + job().entry->id + " has " + std::to_string(dimensions));
  }
}

void EncodingRun::tokenise() {
  const text::Tokenizer& tokenizer = model_->tokenizer();
  const std::int32_t own = model_->info().context;
  const std::int32_t published = job().entry->context_window;
  const auto window = static_cast<std::size_t>(published > 0 ? std::min(published, own) : own);
  const bool scores = !input_.query.empty();
  const bool pairs = scores && output_ == engine::EncodeOutput::probabilities;
  const auto too_long = [&](const std::string& which, const std::string& tokens) {
    throw Error(ErrorCode::context_too_long,
                which + ": " + tokens + " tokens, the model reads " + std::to_string(window));
  };
  const auto add = [&](const std::string& which, std::string_view text, std::string_view before) {
    const std::size_t least = (before.size() + text.size()) / kLongestToken;
    if (least > window && !input_.truncate) too_long(which, "more than " + std::to_string(least));
    text::Encoding encoding = pairs ? tokenizer.encode_pair(before, text, window) : tokenizer.encode_text(text, window);
    if (encoding.dropped > 0 && !input_.truncate) {
      too_long(which, std::to_string(std::ssize(encoding.ids) + encoding.dropped));
    }
    if (encoding.ids.empty()) throw Error(ErrorCode::invalid_input, which + ": nothing is left to encode");
    texts_.push_back({std::move(encoding.ids), std::move(encoding.types)});
  };
  if (scores && !pairs) {
    add("query", input_.query, {});
    bracketed_ = output_ == engine::EncodeOutput::states && tokenizer.encode("", true).size() == 2;
    for (const std::int32_t id : texts_[0].tokens) counts_.push_back(counts(tokenizer.token_text(id)));
  }
  const std::string list = scores ? "contexts" : "text";
  for (std::size_t i = 0; i < input_.texts.size(); i++) {
    const bool one = !scores && input_.texts.size() == 1;
    add(one ? list : list + "[" + std::to_string(i) + "]", input_.texts[i], input_.query);
  }
}

void EncodingRun::submit() {
  engine::EncodeRequest request;
  request.output = output_;
  request.pooling = input_.pooling;
  request.normalise = true;
  request.account = job().bill.account;
  std::size_t tokens = 0;
  do {
    tokens += texts_[next_].tokens.size();
    request.texts.push_back(std::move(texts_[next_++]));
  } while (next_ < texts_.size() &&
           (output_ != engine::EncodeOutput::states || tokens + texts_[next_].tokens.size() <= kMostStates));
  // From here on the engine's thread may be in done() already.
  running(model_->encode(std::move(request), std::shared_ptr<engine::EncodeSink>(shared_from_this(), this)));
}

void EncodingRun::done(engine::EncodeResult result) {
  result_.usage.prompt_tokens += result.tokens;
  if (result.cancelled) {
    if (result_.usage.prompt_tokens == 0) return fail(Error(ErrorCode::aborted));
    RunResult used = result_;
    used.neurons = neurons(used.usage);
    used.total_ms = ms_since_run();
    settle(used, [this, used](const Error*) { sink().cancelled(used); });
    return;
  }
  // What follows is not for the engine's thread.
  const auto shared = std::make_shared<engine::EncodeResult>(std::move(result));
  const auto job = [run = shared_from_this(), this, shared] { guarded([&] { take(*shared); }); };
  if (!work_.post(job)) job();
}

void EncodingRun::take(const engine::EncodeResult& result) {
  const auto width = static_cast<std::size_t>(result.width);
  const bool first = !has_query_;
  std::size_t at = 0;
  for (std::size_t i = 0; i < result.rows.size(); i++) {
    const auto rows = std::span(result.values).subspan(at, static_cast<std::size_t>(result.rows[i]) * width);
    at += rows.size();
    switch (input_.task) {
      case EncodingTask::embeddings: {
        if (i == 0) result_.answer = Embeddings{};
        auto& vectors = std::get<Embeddings>(result_.answer);
        vectors.width = std::max(width, static_cast<std::size_t>(job().entry->dimensions));
        vectors.values.insert(vectors.values.end(), rows.begin(), rows.end());
        vectors.values.resize((i + 1) * vectors.width);  // zeros behind a stand-in's own: cosines stay
        break;
      }
      case EncodingTask::similarity:
      case EncodingTask::relevance:
        if (output_ == engine::EncodeOutput::probabilities) {
          scores_.push_back(static_cast<double>(rows[0]));
        } else if (first && i == 0) {
          take_query(rows, width);
          has_query_ = true;
        } else {
          scores_.push_back(output_ == engine::EncodeOutput::states
                                ? late_interaction(query_, own_rows(rows, width), width)
                                : cosine(query_, rows));
        }
        break;
      case EncodingTask::classification: {
        std::vector<LabelScore> labels;
        for (std::size_t k = 0; k < width; k++) {
          labels.push_back({model_->info().labels[k], static_cast<double>(rows[k])});
        }
        result_.answer = std::move(labels);
        break;
      }
    }
  }
  throw_if_cancelled();
  if (next_ < texts_.size()) return submit();
  finish();
}

std::span<const float> EncodingRun::own_rows(std::span<const float> rows, std::size_t width) const {
  return bracketed_ ? rows.subspan(width, rows.size() - 2 * width) : rows;
}

void EncodingRun::take_query(std::span<const float> rows, std::size_t width) {
  if (output_ != engine::EncodeOutput::states) {
    query_.assign(rows.begin(), rows.end());
    return;
  }
  const auto own = own_rows(rows, width);
  const std::size_t before = bracketed_ ? 1 : 0;
  for (std::size_t t = 0; t < own.size() / width; t++) {
    const auto row = own.subspan(t * width, width);
    if (counts_[before + t]) query_.insert(query_.end(), row.begin(), row.end());
  }
  if (query_.empty()) query_.assign(own.begin(), own.end());  // nothing but punctuation: then it counts
}

void EncodingRun::finish() {
  if (input_.task == EncodingTask::similarity || input_.task == EncodingTask::relevance) {
    result_.answer = best_first(scores_, input_.top_k);
  } else if (auto* const vectors = std::get_if<Embeddings>(&result_.answer)) {
    if (input_.names_pooling) vectors->pooling = pooling_name(input_.pooling.value_or(model_->info().pooling));
    vectors->of_contexts = input_.of_contexts;
  }
  model_.reset();
  result_.neurons = neurons(result_.usage);
  result_.total_ms = ms_since_run();
  start();
  settle(result_, [this](const Error* lost) {
    if (lost != nullptr) {
      sink().failed(*lost);
    } else {
      sink().encoded(result_);
    }
  });
}

}  // namespace glia::tasks
