#include "engine/served_model.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <exception>
#include <utility>

#include "base/log.h"
#include "engine/current_error.h"
#include "engine/figures.h"
#include "engine/random.h"

namespace glia::engine {
namespace {

double ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

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
      speculates_(options.speculation),
      most_logit_rows_(most_logit_rows(options)),
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
  logit_rows_.reserve(static_cast<std::size_t>(most_logit_rows_));
  page_tables_.reserve(places);
  candidates_.reserve(places);
  outcomes_.reserve(places);
  accepted_.reserve(places);
  logits_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(most_logit_rows_) *
                                                    static_cast<std::size_t>(loaded_.model->info().vocab));
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
  auto sequence =
      std::make_unique<Sequence>(std::move(request), std::move(sink), loaded_, seed, speculates_, clock_.steady_ns());
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
    const auto running = schedule_.running_slots();
    const auto decodes = static_cast<std::int32_t>(
        std::count_if(running.begin(), running.end(), [this](Slot slot) { return schedule_.decodes(slot); }));
    offer_drafts(decodes);
    const Plan& plan = schedule_.plan(step_limits(decodes));
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
  if (!kv_.enter(s.lease, s.account(), s.tokens(), s.tokens_left(), s.prefix_cache())) return std::nullopt;
  const std::int32_t computed = kv_.cached_tokens(s.lease);
  if (s.entered++ == 0) s.cached_tokens = s.reached = computed;
  return computed;
}

bool ServedModel::extend(Slot slot, std::int32_t positions) { return kv_.extend(at(slot).lease, positions); }

void ServedModel::leave(Slot slot) {
  kv_.release(at(slot).lease);
  ++set_back_;
}

void ServedModel::drop_cancelled(std::vector<Ending>& endings) {
  for (std::size_t slot = 0; slot < sequences_.size(); ++slot) {
    if (sequences_[slot] && sequences_[slot]->handle()->cancelled()) {
      finish(static_cast<Slot>(slot), FinishReason::cancelled, endings);
    }
  }
}

void ServedModel::offer_drafts(std::int32_t decodes) {
  // Whoever runs or enters with this step may want a row of logits.
  const std::int32_t samples = std::min(limits_.max_running, schedule_.running() + schedule_.queued());
  const std::int32_t rows = std::min({kMostDraftRows, limits_.max_batch_rows - decodes, most_logit_rows_ - samples});
  if (!speculates_ || decodes == 0 || rows <= 0 || !may_pay(decodes, cost_)) return;
  candidates_.clear();
  for (const Slot slot : schedule_.running_slots()) {
    if (!schedule_.decodes(slot)) continue;
    const PromptLookup::Guess guess = at(slot).guess();
    if (guess.count > 0) candidates_.push_back({slot, &at(slot).lookup(), guess, 0, 0});
  }
  choose_drafts(candidates_, decodes, rows, cost_);
  for (const Candidate& c : candidates_) schedule_.offer(c.slot, c.taken);
}

// Prompts must not hold up what streams: beside decode rows they get as many rows as lengthen the step so far, or the
// few that cost next to nothing where a step is short.
StepLimits ServedModel::step_limits(std::int32_t decodes) const {
  constexpr double kMostStretch = 2.5;
  constexpr std::int32_t kLeastRows = 16;
  if (decodes == 0) return {};
  const std::int32_t least = decodes + kLeastRows;
  return {cost_.rows_within(kMostStretch * cost_.of(decodes), least, limits_.max_batch_rows) - decodes};
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
    const std::int32_t known = chunk.first + chunk.count - chunk.drafts;
    for (std::int32_t p = chunk.first; p < chunk.first + chunk.count; ++p) {
      tokens_.push_back(p < known ? s.tokens()[static_cast<std::size_t>(p)]
                                  : s.draft()[static_cast<std::size_t>(p - known)]);
      positions_.push_back(p);
      row_sequences_.push_back(row_sequence);
    }
    if (!chunk.samples) continue;
    const auto rows = static_cast<std::int32_t>(tokens_.size());
    for (std::int32_t row = rows - 1 - chunk.drafts; row < rows; ++row) logit_rows_.push_back(row);
    assert(logit_rows_.size() <= static_cast<std::size_t>(most_logit_rows_));
  }
}

// False: the model broke, and everything in the batch ended.
bool ServedModel::forward(const Plan& plan, std::vector<Ending>& endings) {
  const auto vocab = static_cast<std::size_t>(loaded_.model->info().vocab);
  try {
    loaded_.model->forward({tokens_, {positions_, row_sequences_, page_tables_}, logit_rows_}, *cache_,
                           {logits_.get(), logit_rows_.size() * vocab});
    return true;
  } catch (...) {
    const Error error = current_error();
    log::error("a step of a model failed", {{"model", loaded_.name}, {"error", std::string(error_name(error.code()))}});
    accepted_.assign(plan.chunks.size(), 0);
    schedule_.commit(accepted_);
    for (const Chunk& chunk : plan.chunks) fail(chunk.slot, error, endings);
    return false;
  }
}

void ServedModel::run(const Plan& plan, std::vector<Ending>& endings) {
  const std::int64_t start = clock_.steady_ns();
  for (const Chunk& chunk : plan.chunks) {
    if (at(chunk.slot).scheduled_ns < 0) at(chunk.slot).scheduled_ns = start;
  }
  build_batch(plan);
  if (!forward(plan, endings)) return;
  sample(plan);
  const double spent_ms = ms(clock_.steady_ns() - start);
  cost_.learn(plan.rows, spent_ms);
  count(plan, spent_ms);
  settle(plan, endings);
}

void ServedModel::sample(const Plan& plan) {
  const auto vocab = static_cast<std::size_t>(loaded_.model->info().vocab);
  float* logits = logits_.get();
  outcomes_.clear();
  accepted_.clear();
  for (const Chunk& chunk : plan.chunks) {
    outcomes_.push_back(chunk.samples ? sample_chunk(chunk, logits) : Outcome{});
    accepted_.push_back(std::max(outcomes_.back().sampled - 1, 0));
    if (chunk.samples) logits += vocab * static_cast<std::size_t>(1 + chunk.drafts);
  }
}

// Row by row, as far as what is drawn is what was guessed. [1 + drafts, vocab]
ServedModel::Outcome ServedModel::sample_chunk(const Chunk& chunk, float* logits) {
  const auto vocab = static_cast<std::size_t>(loaded_.model->info().vocab);
  Sequence& s = at(chunk.slot);
  Outcome out;
  bool agrees = true;
  try {
    if (s.first_token_ns < 0) s.first_token_ns = clock_.steady_ns();
    while (agrees && !out.end && out.sampled <= chunk.drafts) {
      if (s.handle()->cancelled()) {
        out.end = FinishReason::cancelled;
        break;
      }
      out.end = s.advance({logits, vocab}, weights_, loaded_);
      agrees = out.sampled < chunk.drafts && s.tokens().back() == s.draft()[static_cast<std::size_t>(out.sampled)];
      logits += vocab;
      ++out.sampled;
    }
  } catch (...) {
    out.error = current_error();
  }
  if (chunk.drafts > 0 && out.sampled > 0) s.learn(out.end ? out.sampled - 1 : chunk.drafts, out.sampled - 1);
  return out;
}

// What the step computed becomes known to the schedule and, without guesses that were wrong, to the tree of prefixes;
// then whoever is over gives everything back.
void ServedModel::settle(const Plan& plan, std::vector<Ending>& endings) {
  schedule_.commit(accepted_);
  for (std::size_t i = 0; i < outcomes_.size(); ++i) {
    const Slot slot = plan.chunks[i].slot;
    Sequence& s = at(slot);
    kv_.share(s.lease, s.tokens(), schedule_.computed(slot));
    if (outcomes_[i].error) {
      fail(slot, *outcomes_[i].error, endings);
    } else if (outcomes_[i].end) {
      finish(slot, *outcomes_[i].end, endings);
    }
  }
}

// The step's figures; before anything that ended is gone.
void ServedModel::count(const Plan& plan, double spent_ms) {
  std::int64_t prompt_rows = 0, again = 0, sampled = 0, drafted = 0, accepted = 0, cached = 0;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
    const Chunk& chunk = plan.chunks[i];
    Sequence& s = at(chunk.slot);
    const std::int32_t end = chunk.first + chunk.count - chunk.drafts + accepted_[i];
    const std::int32_t fresh = std::max(chunk.first, s.reached);
    again += std::max(std::min(end, s.reached) - chunk.first, 0);
    prompt_rows += std::max(std::min(end, s.prompt_tokens()) - fresh, 0);
    s.reached = std::max(s.reached, end);
    sampled += outcomes_[i].sampled;
    drafted += chunk.drafts;
    accepted += accepted_[i];
  }
  for (const Slot slot : plan.admitted) {
    if (at(slot).entered > 1) continue;
    cached += at(slot).cached_tokens;
    hits += at(slot).cached_tokens > 0 ? 1 : 0;
  }
  const std::lock_guard lock(thread_->mutex());
  record(status_.figures.step_ms, spent_ms);
  record(status_.figures.batch_rows, plan.rows);
  rate_.note(static_cast<double>(sampled), spent_ms * 1e-3);
  status_.figures.prefix_hits += hits;
  ++status_.steps;
  status_.generated_tokens += sampled;
  status_.prompt_tokens += prompt_rows;
  status_.cached_tokens += cached;
  status_.drafted_tokens += drafted;
  status_.accepted_tokens += accepted;
  status_.recomputed_tokens += again;
  status_.set_back += std::exchange(set_back_, 0);
}

void ServedModel::finish(Slot slot, FinishReason reason, std::vector<Ending>& endings) {
  const Sequence& s = at(slot);
  const GenerateResult result = s.result(reason, clock_.steady_ns());
  endings.emplace_back(s.sink(), result);
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
  endings.emplace_back(at(slot).sink(), error);
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
      endings.emplace_back(sequence->sink(), error);
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
