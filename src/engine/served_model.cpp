#include "engine/served_model.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "base/log.h"
#include "engine/figures.h"
#include "engine/random.h"

namespace glia::engine {
namespace {

double ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

// The exception being handled, as one of ours.
Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (...) {
    return Error(ErrorCode::internal);
  }
}

// As many pages as the memory holds, at most what max_running full contexts need.
std::int32_t page_count(const LoadedModel& loaded, const EngineOptions& options) {
  const std::size_t page_bytes = loaded.model->create_kv_cache(1, options.page_tokens)->bytes();
  const std::int64_t fits = static_cast<std::int64_t>(options.kv_bytes / std::max<std::size_t>(page_bytes, 1));
  if (fits < 1) throw Error(ErrorCode::out_of_capacity, "the KV memory does not hold one page of this model");
  const std::int64_t per_context =
      (std::int64_t{loaded.model->info().context} + options.page_tokens - 1) / options.page_tokens;
  return static_cast<std::int32_t>(
      std::min({fits, std::max<std::int64_t>(per_context, 1) * options.max_running, std::int64_t{1} << 30}));
}

}  // namespace

ServedModel::ServedModel(LoadedModel loaded, std::filesystem::path path, const EngineOptions& options,
                         const Clock& clock, std::shared_ptr<StepThread> thread)
    : loaded_(std::move(loaded)),
      path_(std::move(path)),
      clock_(clock),
      thread_(std::move(thread)),
      max_live_(options.max_running + options.max_queued),
      limits_{.max_batch_rows = options.max_batch_rows, .max_running = options.max_running},
      share_(options.prefix_cache),
      kv_(page_count(loaded_, options), options.page_tokens, share_),
      cache_(loaded_.model->create_kv_cache(kv_.pages(), kv_.page_tokens())),
      schedule_(limits_, *this),
      weights_(loaded_.model->info().vocab) {
  context_ = static_cast<std::int32_t>(
      std::min<std::int64_t>(loaded_.model->info().context, std::int64_t{kv_.pages()} * kv_.page_tokens()));
  const auto rows = static_cast<std::size_t>(limits_.max_batch_rows);
  const auto places = static_cast<std::size_t>(limits_.max_running);
  tokens_.reserve(rows);
  positions_.reserve(rows);
  row_sequences_.reserve(rows);
  logit_rows_.reserve(places);
  page_tables_.reserve(places);
  logits_ = std::make_unique_for_overwrite<float[]>(places * static_cast<std::size_t>(loaded_.model->info().vocab));
  status_.name = loaded_.name;
  status_.path = path_;
  status_.bytes = bytes();
  status_.weight_bytes = loaded_.model->info().weight_bytes;
  status_.kv_bytes = cache_->bytes();
  status_.kv_pages = kv_.pages();
  status_.figures = make_figures();
}

void ServedModel::hold(MemoryBudget::Reservation reservation, std::size_t scratch_bytes) {
  reservation_.emplace(std::move(reservation));
  const std::lock_guard lock(thread_->mutex());
  status_.bytes = bytes() + scratch_bytes;
  status_.scratch_bytes = scratch_bytes;
}

std::shared_ptr<Generation> ServedModel::generate(GenerateRequest request, std::shared_ptr<GenerationSink> sink) {
  check_request(request, loaded_.model->info().vocab, context_);
  std::uint64_t seed = 0;
  const auto admit = [&] {  // under the lock
    if (thread_->stopping()) throw Error(ErrorCode::aborted, "the server is stopping");
    if (live_ < max_live_) return;
    ++status_.figures.refused;
    Error error(ErrorCode::out_of_capacity, std::to_string(live_) + " requests are ahead");
    error.retry_after_s = retry_after_s();
    throw error;
  };
  {
    const std::lock_guard lock(thread_->mutex());
    admit();
    seed = random_bits(entropy_, fresh_seeds_++);
  }
  auto sequence = std::make_unique<Sequence>(std::move(request), std::move(sink), loaded_, seed, clock_.steady_ns());
  std::shared_ptr<Generation> handle = sequence->handle();
  const std::lock_guard lock(thread_->mutex());
  admit();
  inbox_.push_back(std::move(sequence));
  ++live_;
  thread_->wake(shared_from_this());
  return handle;
}

int ServedModel::retry_after_s() const {
  const double rounds = static_cast<double>(live_) / limits_.max_running;
  return static_cast<int>(std::clamp(std::ceil(rounds * mean_total_s_), 1.0, 60.0));
}

bool ServedModel::tidy(std::vector<Ending>& endings) {
  return guarded(endings, [&] {
    take_inbox();
    drop_cancelled(endings);
  });
}

bool ServedModel::step(std::vector<Ending>& endings) {
  return guarded(endings, [&] {
    const Plan& plan = schedule_.plan();
    if (!plan.chunks.empty()) run(plan, endings);
  });
}

// Whether anything is left after `work`. What it throws is neither one generation's fault nor the model's (memory ran
// out between two steps): everything ends and the model starts over empty.
template <typename Work>
bool ServedModel::guarded(std::vector<Ending>& endings, Work work) {
  try {
    work();
  } catch (...) {
    end_all(current_error(), endings);
  }
  const std::lock_guard lock(thread_->mutex());
  status_.running = schedule_.running();
  status_.kv_pages_used = kv_.used();
  status_.kv_pages_cached = kv_.cached();
  return schedule_.queued() + schedule_.running() > 0;
}

void ServedModel::take_inbox() {
  {
    const std::lock_guard lock(thread_->mutex());
    taken_.swap(inbox_);
  }
  for (auto& sequence : taken_) {
    const Slot slot = schedule_.submit(sequence->account(), sequence->prompt_tokens());
    if (static_cast<std::size_t>(slot) >= sequences_.size()) sequences_.resize(static_cast<std::size_t>(slot) + 1);
    sequences_[static_cast<std::size_t>(slot)] = std::move(sequence);
  }
  taken_.clear();
}

std::optional<std::int32_t> ServedModel::enter(Slot slot) {
  Sequence& s = at(slot);
  if (!kv_.enter(s.lease, s.account(), s.prompt(), s.max_tokens(), s.prefix_cache())) return std::nullopt;
  s.cached_tokens = kv_.cached_tokens(s.lease);
  return s.cached_tokens;
}

void ServedModel::drop_cancelled(std::vector<Ending>& endings) {
  for (std::size_t slot = 0; slot < sequences_.size(); ++slot) {
    if (sequences_[slot] && sequences_[slot]->handle()->cancelled()) {
      finish(static_cast<Slot>(slot), FinishReason::cancelled, endings);
    }
  }
}

void ServedModel::build_batch(const Plan& plan) {
  tokens_.clear();
  positions_.clear();
  row_sequences_.clear();
  logit_rows_.clear();
  page_tables_.clear();
  for (const Chunk& chunk : plan.chunks) {
    Sequence& s = at(chunk.slot);
    kv_.grow(s.lease, chunk.first + chunk.count);
    const auto row_sequence = static_cast<std::int32_t>(page_tables_.size());
    page_tables_.push_back(s.lease.pages());
    for (std::int32_t p = chunk.first; p < chunk.first + chunk.count; ++p) {
      tokens_.push_back(s.tokens()[static_cast<std::size_t>(p)]);
      positions_.push_back(p);
      row_sequences_.push_back(row_sequence);
    }
    if (chunk.samples) logit_rows_.push_back(static_cast<std::int32_t>(tokens_.size()) - 1);
  }
}

void ServedModel::run(const Plan& plan, std::vector<Ending>& endings) {
  const std::int64_t start = clock_.steady_ns();
  for (const Chunk& chunk : plan.chunks) {
    if (at(chunk.slot).scheduled_ns < 0) at(chunk.slot).scheduled_ns = start;
  }
  build_batch(plan);
  const auto vocab = static_cast<std::size_t>(loaded_.model->info().vocab);
  try {
    loaded_.model->forward({tokens_, {positions_, row_sequences_, page_tables_}, logit_rows_}, *cache_,
                           {logits_.get(), logit_rows_.size() * vocab});
  } catch (...) {
    const Error error = current_error();
    log::error("a step of a model failed", {{"model", loaded_.name}, {"error", std::string(error_name(error.code()))}});
    schedule_.commit();
    for (const Chunk& chunk : plan.chunks) fail(chunk.slot, error, endings);
    return;
  }
  std::int64_t prompt_rows = 0;
  for (const Chunk& chunk : plan.chunks) {
    Sequence& s = at(chunk.slot);
    prompt_rows += std::clamp(s.prompt_tokens() - chunk.first, 0, chunk.count);
    kv_.share(s.lease, s.tokens(), chunk.first + chunk.count);
  }
  std::int64_t cached = 0;
  std::uint64_t hits = 0;
  for (const Slot slot : plan.admitted) {
    cached += at(slot).cached_tokens;
    hits += at(slot).cached_tokens > 0 ? 1 : 0;
  }
  schedule_.commit();
  const std::int64_t sampled = sample(plan, endings);
  const std::int64_t spent = clock_.steady_ns() - start;
  const std::lock_guard lock(thread_->mutex());
  record(status_.figures.step_ms, ms(spent));
  record(status_.figures.batch_rows, plan.rows);
  rate_.note(static_cast<double>(sampled), static_cast<double>(spent) * 1e-9);
  status_.figures.prefix_hits += hits;
  ++status_.steps;
  status_.generated_tokens += sampled;
  status_.prompt_tokens += prompt_rows;
  status_.cached_tokens += cached;
}

std::int64_t ServedModel::sample(const Plan& plan, std::vector<Ending>& endings) {
  const auto vocab = static_cast<std::size_t>(loaded_.model->info().vocab);
  float* logits = logits_.get();
  std::int64_t sampled = 0;
  for (const Chunk& chunk : plan.chunks) {
    if (!chunk.samples) continue;
    const std::span<float> row(logits, vocab);
    logits += vocab;
    Sequence& s = at(chunk.slot);
    if (s.handle()->cancelled()) {
      finish(chunk.slot, FinishReason::cancelled, endings);
      continue;
    }
    try {
      if (s.first_token_ns < 0) s.first_token_ns = clock_.steady_ns();
      const auto reason = s.advance(row, weights_, loaded_);
      ++sampled;
      if (reason) finish(chunk.slot, *reason, endings);
    } catch (...) {
      fail(chunk.slot, current_error(), endings);
    }
  }
  return sampled;
}

void ServedModel::finish(Slot slot, FinishReason reason, std::vector<Ending>& endings) {
  const Sequence& s = at(slot);
  const GenerateResult result = s.result(reason, schedule_.computed(slot), clock_.steady_ns());
  endings.push_back({s.sink(), result});
  const std::lock_guard lock(thread_->mutex());
  ModelFigures& f = status_.figures;
  ++(reason == FinishReason::stop ? f.stopped : reason == FinishReason::length ? f.out_of_tokens : f.cancelled);
  if (s.scheduled_ns >= 0) record(f.queued_ms, ms(result.timing.queued_ns));
  if (s.first_token_ns >= 0) record(f.first_token_ms, ms(result.timing.first_token_ns));
  const double rest_s = static_cast<double>(result.timing.total_ns - result.timing.first_token_ns) * 1e-9;
  if (s.answer_tokens() > 1 && rest_s > 0) record(f.tokens_per_s, (s.answer_tokens() - 1) / rest_s);
  mean_total_s_ += 0.125 * (static_cast<double>(result.timing.total_ns) * 1e-9 - mean_total_s_);
  release(slot);
}

void ServedModel::fail(Slot slot, const Error& error, std::vector<Ending>& endings) {
  endings.push_back({at(slot).sink(), error});
  const std::lock_guard lock(thread_->mutex());
  ++status_.figures.failed;
  release(slot);
}

// The sequence gives everything back; its sink hears of the end after the step.
void ServedModel::release(Slot slot) {
  kv_.release(at(slot).lease);
  schedule_.remove(slot);
  sequences_[static_cast<std::size_t>(slot)].reset();
  last_active_ns_.store(clock_.steady_ns(), std::memory_order_relaxed);
  --live_;
}

void ServedModel::end_all(const Error& error, std::vector<Ending>& endings) {
  const std::lock_guard lock(thread_->mutex());
  for (auto* sequences : {&sequences_, &taken_, &inbox_}) {
    for (auto& sequence : *sequences) {
      if (!sequence) continue;
      endings.push_back({sequence->sink(), error});
      ++status_.figures.failed;
    }
    sequences->clear();
  }
  schedule_ = Schedule(limits_, *this);
  kv_ = KvPages(kv_.pages(), kv_.page_tokens(), share_);
  live_ = 0;
}

ModelStatus ServedModel::status() const {
  const std::lock_guard lock(thread_->mutex());
  ModelStatus status = status_;
  status.queued = live_ - status_.running;
  status.tokens_per_s = rate_.per_second();
  return status;
}

}  // namespace glia::engine
