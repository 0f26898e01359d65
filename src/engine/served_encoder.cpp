#include "engine/served_encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "engine/current_error.h"

namespace glia::engine {
namespace {

/// Values of one request's result.
constexpr std::size_t kMostValues = std::size_t{64} << 20;

double ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

[[noreturn]] void refuse(const std::string& detail) { throw Error(ErrorCode::invalid_input, detail); }

bool classifies(EncodeOutput output) { return output == EncodeOutput::logits || output == EncodeOutput::probabilities; }

models::EncoderOutput model_output(EncodeOutput output) {
  if (output == EncodeOutput::embedding) return models::EncoderOutput::vector;
  return output == EncodeOutput::states ? models::EncoderOutput::states : models::EncoderOutput::logits;
}

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
}

/// Logits to probabilities, in place.
void weigh(std::span<float> logits, bool exclusive) {
  if (!exclusive || logits.size() == 1) {
    for (float& x : logits) x = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x))));
    return;
  }
  const auto most = static_cast<double>(*std::max_element(logits.begin(), logits.end()));
  double total = 0;
  for (const float x : logits) total += std::exp(static_cast<double>(x) - most);
  for (float& x : logits) x = static_cast<float>(std::exp(static_cast<double>(x) - most) / total);
}

}  // namespace

ServedEncoder::ServedEncoder(LoadedModel loaded, std::filesystem::path path, const EngineOptions& options,
                             const Clock& clock, std::shared_ptr<StepThread> thread)
    : loaded_(std::move(loaded)),
      clock_(clock),
      thread_(std::move(thread)),
      max_live_(options.max_running + options.max_queued),
      batch_rows_(options.max_batch_rows) {
  const models::EncoderInfo& model = loaded_.encoder->info();
  info_ = {.context = model.context,
           .advised_tokens = model.advised_tokens,
           .hidden = model.hidden,
           .width = model.width,
           .pooling = model.pooling,
           .normalises = model.normalises,
           .labels = model.labels};
  status_.name = loaded_.name;
  status_.path = std::move(path);
  status_.bytes = bytes();
  status_.weight_bytes = bytes();
  status_.figures = make_figures();
}

void ServedEncoder::hold(MemoryBudget::Reservation reservation, std::size_t scratch_bytes) {
  reservation_.emplace(std::move(reservation));
  const std::lock_guard lock(thread_->mutex());
  status_.bytes = bytes() + scratch_bytes;
  status_.scratch_bytes = scratch_bytes;
}

void ServedEncoder::check(const EncodeRequest& request) const {
  const models::EncoderInfo& model = loaded_.encoder->info();
  if (request.texts.empty()) refuse("there is no text to encode");
  if (classifies(request.output) && model.labels.empty()) refuse("the model has no classifier");
  for (const EncodeText& text : request.texts) {
    if (text.tokens.empty()) refuse("a text has no tokens");
    if (text.tokens.size() > static_cast<std::size_t>(model.context)) {
      throw Error(ErrorCode::context_too_long, "a text of " + std::to_string(text.tokens.size()) +
                                                   " tokens exceeds the context of " + std::to_string(model.context) +
                                                   " tokens");
    }
    for (const std::int32_t id : text.tokens) {
      if (id < 0 || id >= model.vocab) refuse("a text holds a token that the model does not know");
    }
    if (text.types.empty() || model.types == 1) continue;
    if (text.types.size() != text.tokens.size()) refuse("a text has not one type per token");
    for (const std::int32_t type : text.types) {
      if (type < 0 || type >= model.types) refuse("a text holds a type that the model does not know");
    }
  }
}

std::unique_ptr<ServedEncoder::Job> ServedEncoder::make_job(EncodeRequest&& request,
                                                            std::shared_ptr<EncodeSink>&& sink) const {
  auto job = std::make_unique<Job>();
  job->request = std::move(request);
  job->sink = std::move(sink);
  job->submitted_ns = clock_.steady_ns();
  job->left = job->request.texts.size();
  const bool states = job->request.output == EncodeOutput::states;
  EncodeResult& result = job->result;
  result.width = states                            ? info_.hidden
                 : classifies(job->request.output) ? static_cast<std::int32_t>(info_.labels.size())
                                                   : info_.width;
  std::size_t values = 0;
  for (EncodeText& text : job->request.texts) {
    if (loaded_.encoder->info().types == 1) text.types.clear();
    result.rows.push_back(states ? static_cast<std::int32_t>(text.tokens.size()) : 1);
    job->offsets.push_back(values);
    values += static_cast<std::size_t>(result.rows.back()) * static_cast<std::size_t>(result.width);
    if (values > kMostValues) {
      throw Error(ErrorCode::request_too_large, "more than " + std::to_string(kMostValues) + " values are asked for");
    }
  }
  job->offsets.push_back(values);
  return job;
}

std::shared_ptr<Generation> ServedEncoder::encode(EncodeRequest request, std::shared_ptr<EncodeSink> sink) {
  check(request);
  auto job = make_job(std::move(request), std::move(sink));
  std::shared_ptr<Generation> handle = job->handle;
  const std::lock_guard lock(thread_->mutex());
  if (thread_->stopping()) throw Error(ErrorCode::aborted, "the server is stopping");
  if (live_ >= max_live_) {
    ++status_.figures.refused;
    Error error(ErrorCode::out_of_capacity, std::to_string(live_) + " requests are ahead");
    error.retry_after_s = retry_after_s();
    throw error;
  }
  inbox_.push_back(std::move(job));
  ++live_;
  thread_->wake(shared_from_this());
  return handle;
}

int ServedEncoder::retry_after_s() const { return static_cast<int>(std::clamp(std::ceil(mean_total_s_), 1.0, 60.0)); }

bool ServedEncoder::tidy(std::vector<Ending>& endings) {
  return guarded(endings, [&] {
    take_inbox();
    drop_cancelled(endings);
  });
}

bool ServedEncoder::step(std::vector<Ending>& endings) {
  return guarded(endings, [&] {
    const auto items = queue_.plan(batch_rows_);
    if (!items.empty()) run(items, endings);
  });
}

// Whether anything is left after `work`. What it throws is nobody's fault (memory ran out between two steps):
// everything ends and the model starts over empty.
template <typename Work>
bool ServedEncoder::guarded(std::vector<Ending>& endings, Work work) {
  try {
    work();
  } catch (...) {
    end_all(current_error(), endings);
  }
  std::int32_t all = 0, running = 0;
  for (const auto& job : jobs_) {
    if (!job) continue;
    ++all;
    running += job->scheduled_ns >= 0 ? 1 : 0;
  }
  const std::lock_guard lock(thread_->mutex());
  status_.running = running;
  return all > 0;
}

void ServedEncoder::take_inbox() {
  {
    const std::lock_guard lock(thread_->mutex());
    taken_.swap(inbox_);
  }
  for (auto& job : taken_) {
    const auto free = std::find(jobs_.begin(), jobs_.end(), nullptr);
    const auto slot = static_cast<EncodeQueue::Job>(free - jobs_.begin());
    if (free == jobs_.end()) jobs_.emplace_back();
    lengths_.clear();
    for (const EncodeText& text : job->request.texts) lengths_.push_back(static_cast<std::int32_t>(text.tokens.size()));
    queue_.submit(slot, job->request.account, lengths_);
    jobs_[static_cast<std::size_t>(slot)] = std::move(job);
  }
  taken_.clear();
}

void ServedEncoder::drop_cancelled(std::vector<Ending>& endings) {
  for (std::size_t slot = 0; slot < jobs_.size(); ++slot) {
    if (jobs_[slot] && jobs_[slot]->handle->cancelled()) {
      finish(static_cast<EncodeQueue::Job>(slot), /*cancelled=*/true, endings);
    }
  }
}

void ServedEncoder::run(std::span<const EncodeQueue::Item> items, std::vector<Ending>& endings) {
  const std::int64_t start = clock_.steady_ns();
  std::int32_t rows = 0;
  texts_.clear();
  for (const EncodeQueue::Item& item : items) {
    Job& job = at(item.job);
    if (job.scheduled_ns < 0) {
      job.scheduled_ns = start;
      job.result.values.resize(job.offsets.back());
    }
    const auto index = static_cast<std::size_t>(item.text);
    const EncodeText& text = job.request.texts[index];
    const bool embeds = job.request.output == EncodeOutput::embedding;
    texts_.push_back(
        {.tokens = text.tokens,
         .types = text.types,
         .output = model_output(job.request.output),
         .pooling = job.request.pooling.value_or(info_.pooling),
         .normalise = job.request.normalise.value_or(embeds && info_.normalises),
         .out = std::span(job.result.values).subspan(job.offsets[index], job.offsets[index + 1] - job.offsets[index])});
    rows += item.tokens;
  }
  std::optional<Error> error;
  try {
    loaded_.encoder->forward(texts_);
  } catch (...) {
    error = current_error();
    log::error("a step of a model failed",
               {{"model", loaded_.name}, {"error", std::string(error_name(error->code()))}});
  }
  const std::int64_t now = clock_.steady_ns();
  if (error) {
    for (const EncodeQueue::Item& item : items) {
      if (jobs_[static_cast<std::size_t>(item.job)]) fail(item.job, *error, endings);
    }
    return;
  }
  {
    const std::lock_guard lock(thread_->mutex());
    record(status_.figures.step_ms, ms(now - start));
    record(status_.figures.batch_rows, rows);
    rate_.note(rows, ms(now - start) * 1e-3);
    ++status_.steps;
    status_.prompt_tokens += rows;
  }
  settle(items, endings);
}

void ServedEncoder::settle(std::span<const EncodeQueue::Item> items, std::vector<Ending>& endings) {
  const std::int64_t now = clock_.steady_ns();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!jobs_[static_cast<std::size_t>(items[i].job)]) continue;  // failed by an earlier text of this batch
    if (!all_finite(texts_[i].out)) {
      fail(items[i].job, Error(ErrorCode::internal, "the model gave values that are not finite numbers"), endings);
      continue;
    }
    Job& job = at(items[i].job);
    if (job.first_ns < 0) job.first_ns = now;
    if (job.request.output == EncodeOutput::probabilities) weigh(texts_[i].out, loaded_.encoder->info().exclusive);
    job.result.tokens += items[i].tokens;
    if (--job.left == 0) finish(items[i].job, /*cancelled=*/false, endings);
  }
}

void ServedEncoder::finish(EncodeQueue::Job slot, bool cancelled, std::vector<Ending>& endings) {
  Job& job = at(slot);
  const std::int64_t now = clock_.steady_ns();
  EncodeResult result = std::move(job.result);
  result.cancelled = cancelled;
  if (cancelled) {
    result.values = {};
    result.rows = {};
  }
  result.timing = {.queued_ns = (job.scheduled_ns < 0 ? now : job.scheduled_ns) - job.submitted_ns,
                   .first_token_ns = (job.first_ns < 0 ? now : job.first_ns) - job.submitted_ns,
                   .total_ns = now - job.submitted_ns};
  const std::lock_guard lock(thread_->mutex());
  ModelFigures& f = status_.figures;
  ++(cancelled ? f.cancelled : f.stopped);
  if (job.scheduled_ns >= 0) record(f.queued_ms, ms(result.timing.queued_ns));
  mean_total_s_ += 0.125 * (ms(result.timing.total_ns) * 1e-3 - mean_total_s_);
  endings.emplace_back(job.sink, std::move(result));
  release(slot);
}

void ServedEncoder::fail(EncodeQueue::Job slot, const Error& error, std::vector<Ending>& endings) {
  endings.emplace_back(at(slot).sink, error);
  const std::lock_guard lock(thread_->mutex());
  ++status_.figures.failed;
  release(slot);
}

// Under the lock. Its sink hears of the end after the step.
void ServedEncoder::release(EncodeQueue::Job slot) {
  queue_.remove(slot);
  jobs_[static_cast<std::size_t>(slot)].reset();
  last_active_ns_.store(clock_.steady_ns(), std::memory_order_relaxed);
  --live_;
}

void ServedEncoder::end_all(const Error& error, std::vector<Ending>& endings) {
  const std::lock_guard lock(thread_->mutex());
  for (auto* jobs : {&jobs_, &taken_, &inbox_}) {
    for (auto& job : *jobs) {
      if (!job) continue;
      endings.emplace_back(job->sink, error);
      ++status_.figures.failed;
    }
    jobs->clear();
  }
  queue_ = {};
  live_ = 0;
}

ModelStatus ServedEncoder::status() const {
  const std::lock_guard lock(thread_->mutex());
  ModelStatus status = status_;
  status.queued = live_ - status_.running;
  status.tokens_per_s = rate_.per_second();
  return status;
}

}  // namespace glia::engine
