#include "engine/schedule.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <tuple>

namespace glia::engine {

Schedule::Schedule(const ScheduleLimits& limits, Admission& admission) : limits_(limits), admission_(&admission) {
  assert(limits.max_batch_rows > 0 && limits.max_running > 0);
  const auto places = static_cast<std::size_t>(limits.max_running);
  running_.reserve(places);
  set_back_.reserve(places);
  scratch_.reserve(places);
  plan_.admitted.reserve(places);
  plan_.chunks.reserve(places);
}

Slot Schedule::submit(std::string_view account, std::int32_t prompt_tokens) {
  assert(prompt_tokens > 0);
  if (free_.empty()) {
    free_.push_back(static_cast<Slot>(entries_.size()));
    entries_.emplace_back();
  }
  auto found = accounts_.find(account);
  if (found == accounts_.end()) {
    found = accounts_.emplace(account, Account{}).first;
    found->second.name = account;
  }
  const Slot slot = free_.back();
  free_.pop_back();
  Entry& e = at(slot);
  e = {};
  e.state = State::queued;
  e.account = &found->second;
  e.known = e.target = prompt_tokens;

  ++e.account->entries;
  if (e.account->waiting.empty()) turns_.push_back(e.account);
  e.account->waiting.push_back(slot);
  ++queued_;
  return slot;
}

void Schedule::remove(Slot slot) {
  Entry& e = at(slot);
  assert(e.state != State::free);
  if (e.state == State::running) {
    running_.erase(std::find(running_.begin(), running_.end(), slot));
  } else if (e.seniority > 0) {
    set_back_.erase(std::find(set_back_.begin(), set_back_.end(), slot));
    --queued_;
  } else {
    auto& waiting = e.account->waiting;
    waiting.erase(std::find(waiting.begin(), waiting.end(), slot));
    if (waiting.empty()) turns_.erase(std::find(turns_.begin(), turns_.end(), e.account));
    --queued_;
  }
  if (--e.account->entries == 0) accounts_.erase(accounts_.find(e.account->name));
  e = {};
  free_.push_back(slot);
}

void Schedule::insert_by_seniority(std::vector<Slot>& slots, Slot slot) {
  const auto place = std::upper_bound(slots.begin(), slots.end(), slot,
                                      [this](Slot a, Slot b) { return at(a).seniority < at(b).seniority; });
  slots.insert(place, slot);
}

bool Schedule::try_enter(Slot slot) {
  const auto computed = admission_->enter(slot);
  if (!computed) return false;
  Entry& e = at(slot);
  assert(*computed < e.target);
  e.computed = *computed;
  e.state = State::running;
  if (e.seniority == 0) e.seniority = ++admissions_;
  insert_by_seniority(running_, slot);
  plan_.admitted.push_back(slot);
  --queued_;
  return true;
}

void Schedule::admit() {
  while (running() < limits_.max_running && !set_back_.empty()) {
    if (!try_enter(set_back_.front())) return;
    set_back_.erase(set_back_.begin());
  }
  while (running() < limits_.max_running && !turns_.empty()) {
    Account& account = *turns_.front();
    if (!try_enter(account.waiting.front())) return;
    account.waiting.pop_front();
    turns_.pop_front();
    if (!account.waiting.empty()) turns_.push_back(&account);
  }
}

void Schedule::set_back(Slot slot) {
  assert(running_.back() == slot && running_.size() > 1);
  running_.pop_back();
  admission_->leave(slot);
  Entry& e = at(slot);
  e.state = State::queued;
  e.target = e.known;
  e.computed = 0;
  insert_by_seniority(set_back_, slot);
  ++queued_;
  short_of_memory_ = true;
}

// Memory for all that it knows, at the cost of those that came later; false: it is itself the one that came last.
bool Schedule::extend(Slot slot) {
  while (!admission_->extend(slot, at(slot).known)) {
    const Slot last = running_.back();
    set_back(last);
    if (last == slot) return false;
  }
  return true;
}

void Schedule::plan_decodes() {
  scratch_.clear();
  for (const Slot slot : running_) {
    if (decodes(slot)) scratch_.push_back(slot);
  }
  const bool prompts_wait = scratch_.size() < running_.size();
  const auto rows = static_cast<std::size_t>(limits_.max_batch_rows);
  if (scratch_.size() > rows || (scratch_.size() == rows && prompts_wait)) {
    std::sort(scratch_.begin(), scratch_.end(), [this](Slot a, Slot b) {
      return std::tie(at(a).last_step, at(a).seniority) < std::tie(at(b).last_step, at(b).seniority);
    });
    scratch_.resize(prompts_wait && rows > 1 ? rows - 1 : rows);
    std::sort(scratch_.begin(), scratch_.end(), [this](Slot a, Slot b) { return at(a).seniority < at(b).seniority; });
  }
  for (const Slot slot : scratch_) {
    const Entry& e = at(slot);
    if (e.state != State::running || !extend(slot)) continue;
    plan_.chunks.push_back({slot, e.computed, e.known - e.computed, 0, true});
    plan_.rows += plan_.chunks.back().count;
  }
}

// Guesses take what is left, never what another needs; one row stays for the prompts where they wait.
void Schedule::plan_drafts() {
  const bool prompts_wait = !std::all_of(running_.begin(), running_.end(), [this](Slot slot) { return decodes(slot); });
  const std::int32_t most_rows = limits_.max_batch_rows - (prompts_wait ? 1 : 0);
  for (Chunk& chunk : plan_.chunks) {
    Entry& e = at(chunk.slot);
    const std::int32_t drafts = std::min(e.offered, most_rows - plan_.rows);
    if (drafts <= 0 || short_of_memory_ || !admission_->extend(chunk.slot, e.known + drafts)) continue;
    chunk.drafts = drafts;
    chunk.count += drafts;
    plan_.rows += drafts;
  }
}

void Schedule::plan_prompts(const StepLimits& step) {
  scratch_.clear();
  for (const Slot slot : running_) {
    if (!decodes(slot)) scratch_.push_back(slot);
  }
  std::sort(scratch_.begin(), scratch_.end(), [this](Slot a, Slot b) {
    return std::tie(at(a).account->last_prompt, at(a).seniority) <
           std::tie(at(b).account->last_prompt, at(b).seniority);
  });
  std::int32_t left = limits_.max_batch_rows - plan_.rows;
  if (plan_.rows > 0) left = std::min(left, std::max(step.prompt_rows, 1));
  for (const Slot slot : scratch_) {
    Entry& e = at(slot);
    const std::int32_t count = std::min(e.known - e.computed, left);
    if (count <= 0) break;
    plan_.chunks.push_back({slot, e.computed, count, 0, e.computed + count == e.known});
    plan_.rows += count;
    left -= count;
    e.account->last_prompt = step_;
  }
}

const Plan& Schedule::plan(const StepLimits& step) {
  plan_.admitted.clear();
  plan_.chunks.clear();
  plan_.rows = 0;
  short_of_memory_ = false;
  ++step_;
  plan_decodes();
  if (!short_of_memory_) admit();
  plan_drafts();
  plan_prompts(step);
  for (const Slot slot : running_) at(slot).offered = 0;
  return plan_;
}

void Schedule::commit(std::span<const std::int32_t> accepted) {
  assert(accepted.size() == plan_.chunks.size());
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    const Chunk& chunk = plan_.chunks[i];
    assert(accepted[i] >= 0 && accepted[i] <= chunk.drafts);
    Entry& e = at(chunk.slot);
    e.computed += chunk.count - chunk.drafts + accepted[i];
    e.last_step = step_;
    if (chunk.samples) e.known += 1 + accepted[i];
  }
}

}  // namespace glia::engine
