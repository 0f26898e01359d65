#include "engine/schedule.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace glia::engine {

Schedule::Schedule(const ScheduleLimits& limits, Admission& admission) : limits_(limits), admission_(&admission) {
  assert(limits.max_batch_rows > 0 && limits.max_running > 0);
  const auto places = static_cast<std::size_t>(limits.max_running);
  running_.reserve(places);
  decodes_.reserve(places);
  plan_.admitted.reserve(places);
  plan_.chunks.reserve(places);
}

Slot Schedule::submit(std::string_view account, std::int32_t prompt_tokens) {
  assert(prompt_tokens > 0);
  if (free_.empty()) {
    free_.push_back(static_cast<Slot>(entries_.size()));
    entries_.emplace_back();
  }
  const Slot slot = free_.back();
  free_.pop_back();
  Entry& e = at(slot);
  e.state = State::queued;
  e.account = account;
  e.prompt = prompt_tokens;
  e.known = prompt_tokens;
  e.computed = 0;
  e.last_step = 0;

  auto queue = std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& a) { return a.name == account; });
  if (queue == accounts_.end()) queue = accounts_.insert(accounts_.end(), Account{std::string(account), {}});
  queue->waiting.push_back(slot);
  ++queued_;
  return slot;
}

void Schedule::remove(Slot slot) {
  Entry& e = at(slot);
  assert(e.state != State::free);
  if (e.state == State::queued) {
    const auto queue =
        std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& a) { return a.name == e.account; });
    queue->waiting.erase(std::find(queue->waiting.begin(), queue->waiting.end(), slot));
    if (queue->waiting.empty()) accounts_.erase(queue);
    --queued_;
  } else {
    running_.erase(std::find(running_.begin(), running_.end(), slot));
  }
  e.state = State::free;
  free_.push_back(slot);
}

void Schedule::admit() {
  while (!accounts_.empty() && running() < limits_.max_running) {
    const Slot slot = accounts_.front().waiting.front();
    Entry& e = at(slot);
    const auto computed = admission_->enter(slot);
    if (!computed) return;
    assert(*computed < e.prompt);
    e.computed = *computed;
    e.state = State::running;
    running_.push_back(slot);
    plan_.admitted.push_back(slot);
    --queued_;
    accounts_.front().waiting.pop_front();
    if (accounts_.front().waiting.empty()) {
      accounts_.pop_front();
    } else {
      accounts_.splice(accounts_.end(), accounts_, accounts_.begin());
    }
  }
}

void Schedule::plan_decodes() {
  decodes_.clear();
  for (const Slot slot : running_) {
    if (at(slot).computed >= at(slot).prompt) decodes_.push_back(slot);
  }
  const bool prompts_wait = decodes_.size() < running_.size();
  const auto rows = static_cast<std::size_t>(limits_.max_batch_rows);
  if (decodes_.size() > rows || (decodes_.size() == rows && prompts_wait)) {
    std::stable_sort(decodes_.begin(), decodes_.end(),
                     [this](Slot a, Slot b) { return at(a).last_step < at(b).last_step; });
    decodes_.resize(prompts_wait && rows > 1 ? rows - 1 : rows);
  }
  for (const Slot slot : decodes_) {
    plan_.chunks.push_back({slot, at(slot).computed, at(slot).known - at(slot).computed, true});
    plan_.rows += plan_.chunks.back().count;
  }
}

void Schedule::plan_prompts() {
  for (const Slot slot : running_) {
    const Entry& e = at(slot);
    if (e.computed >= e.prompt) continue;
    const std::int32_t count = std::min(e.known - e.computed, limits_.max_batch_rows - plan_.rows);
    if (count <= 0) return;
    plan_.chunks.push_back({slot, e.computed, count, e.computed + count == e.known});
    plan_.rows += count;
  }
}

const Plan& Schedule::plan() {
  plan_.admitted.clear();
  plan_.chunks.clear();
  plan_.rows = 0;
  ++step_;
  admit();
  plan_decodes();
  plan_prompts();
  return plan_;
}

void Schedule::commit() {
  for (const Chunk& chunk : plan_.chunks) {
    Entry& e = at(chunk.slot);
    e.computed += chunk.count;
    e.last_step = step_;
    if (chunk.samples) ++e.known;
  }
}

}  // namespace glia::engine
