#include "vectorize/state.h"

#include <algorithm>

namespace glia::vectorize {

State::State(const IndexConfig& config, const kernels::VectorKernels& kernels)
    : config_(config), slots_(config, kernels) {}

Slot State::find(std::string_view id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? kNoSlot : *it;
}

void State::kill(Slot slot, std::vector<std::int64_t>& dead) {
  dead.push_back(slots_.entry(slot));
  by_id_.erase(slot);
  slots_.kill(slot);
  columns_.clear(slot);
  ids_[slot] = {};
}

void State::put(std::int64_t entry, const Vector& vector, std::vector<std::int64_t>& dead) {
  const Slot before = find(vector.id);
  if (before != kNoSlot && slots_.entry(before) == entry) return;  // tried before
  const Slot slot = slots_.add(vector.values, entry);
  columns_.add(slot, entry, vector.ns, vector.metadata);
  ids_.push_back(vector.id);
  if (before != kNoSlot) kill(before, dead);
  by_id_.insert(slot);
}

void State::apply(const Mutation& mutation, std::vector<std::int64_t>& dead) {
  switch (mutation.kind) {
    case MutationKind::insert:
      for (const auto& [entry, vector] : mutation.vectors) {
        if (const Slot there = find(vector.id); there != kNoSlot) {
          if (slots_.entry(there) != entry) dead.push_back(entry);
        } else {
          put(entry, vector, dead);
        }
      }
      return;
    case MutationKind::upsert:
      for (const auto& [entry, vector] : mutation.vectors) put(entry, vector, dead);
      return;
    case MutationKind::remove:
      for (const auto& id : mutation.ids) {
        if (const Slot there = find(id); there != kNoSlot) kill(there, dead);
      }
      return;
    case MutationKind::add_property:
      columns_.add_column(mutation.property, mutation.first_entry);
      return;
    case MutationKind::remove_property:
      columns_.remove_column(mutation.property.property);
      return;
  }
}

Slot State::copy(const State& from, Slot slot) {
  const Slot now = slots_.add(from.slots_.values(slot), from.slots_.entry(slot));
  columns_.copy(now, from.columns_, slot);
  ids_.push_back(from.ids_[slot]);
  if (const Slot before = find(ids_[now]); before != kNoSlot) by_id_.erase(before);
  by_id_.insert(now);
  return now;
}

std::unique_ptr<State> State::without_dead(std::vector<Slot>& to) const {
  auto out = std::make_unique<State>(config_, slots_.kernels());
  out->columns_.adopt_columns(columns_);
  out->by_id_.reserve(by_id_.size());
  to.assign(slots_.size(), kNoSlot);
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (slots_.is_live(slot)) to[slot] = out->copy(*this, slot);
  }
  return out;
}

bool State::catch_up(const State& from, std::span<const Slot> to) {
  if (!columns_.same_columns(from.columns_)) return false;
  std::vector<std::int64_t> dead;  // known to `from`'s owner already
  for (Slot slot = 0; slot < to.size(); ++slot) {
    if (to[slot] == kNoSlot || from.slots_.is_live(slot)) continue;
    kill(to[slot], dead);
  }
  for (auto slot = static_cast<Slot>(to.size()); slot < from.slots_.size(); ++slot) {
    if (from.slots_.is_live(slot)) copy(from, slot);
  }
  return true;
}

void State::adopt_graph(std::unique_ptr<Graph> graph, Slot graphed) {
  graph_ = std::move(graph);
  graphed_ = graphed;
}

std::size_t State::bytes_each() const {
  constexpr std::size_t kNode = 32;     // of a set: next, slot, hash
  constexpr std::size_t kColumns = 16;  // ids of the namespace and of some properties
  return slots_.bytes_each() + Graph::kBytesEach + sizeof(std::string) + kNode + sizeof(void*) + kColumns;
}

}  // namespace glia::vectorize
