// Queries, single vectors, lists, and the reading of an index into memory.
#include <algorithm>
#include <set>
#include <shared_mutex>

#include "base/log.h"
#include "vectorize/graph_file.h"
#include "vectorize/service.h"

namespace glia::vectorize {
namespace {

/// Of the filter's properties, those without a metadata index.
std::vector<std::string> unindexed(const Filter& filter, const MetadataColumns& columns) {
  std::vector<std::string> out;
  for (const Condition& condition : filter.conditions) {
    if (columns.has(condition.property)) continue;
    if (std::find(out.begin(), out.end(), condition.property) == out.end()) out.push_back(condition.property);
  }
  return out;
}

}  // namespace

bool Service::in_memory(const std::string& account, const std::string& name) {
  const std::lock_guard lock(indexes_mutex_);
  const auto it = indexes_.find({account, name});
  if (it == indexes_.end()) return false;
  const std::lock_guard pending_lock(it->second->pending_mutex);
  return it->second->loaded == Loaded::yes;
}

Service::Held Service::hold(const std::string& account, const std::string& name) {
  for (;;) {
    IndexPtr index = find(account, name);
    index->used_ns = clock_.steady_ns();
    {
      std::shared_lock lock(index->state_lock);
      if (index->state != nullptr) return {std::move(index), std::move(lock)};
    }
    const std::lock_guard lock(index->load_mutex);
    if (index->loaded != Loaded::yes) load(*index);
  }
}

void Service::need_room(const Index& index, std::size_t more) {
  if (memory_.has_room(more) || maintenance_.make_room(index, more)) return;
  const auto mib = [](std::size_t bytes) { return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB"; };
  throw Error(ErrorCode::out_of_capacity, "the index \"" + index.entry.name + "\" needs " +
                                              mib(std::max(index.charge.bytes() + more, index.needed_bytes)) +
                                              " of memory or more, vector indexes have " + mib(memory_.limit()) +
                                              " together, of which " + mib(memory_.used() - index.charge.bytes()) +
                                              " are in use by others");
}

/// Under load_mutex.
void Service::load(Index& index) {
  const std::int64_t start = clock_.steady_ns();
  {
    const std::lock_guard lock(index.pending_mutex);
    index.loaded = Loaded::coming;  // whatever is written from now on is kept for later, too
  }
  try {
    need_room(index, index.needed_bytes);
    read_state(index);
    ++reads_;
  } catch (...) {
    ++failed_reads_;
    index.needed_bytes = std::max(index.needed_bytes, index.charge.bytes());
    index.charge.set(0);
    const std::lock_guard state_lock(index.state_lock);
    const std::lock_guard lock(index.pending_mutex);
    index.state.reset();
    for (const Mutation& m : index.pending) index.coming -= static_cast<std::int64_t>(m.vectors.size());
    index.pending.clear();
    index.loaded = Loaded::no;
    throw;
  }
  apply_due(index);
  maintenance_.wake();
  {
    const std::lock_guard lock(tick_mutex_);
    work_waits_ = true;
  }
  tick_changed_.notify_one();
  const std::shared_lock lock(index.state_lock);
  log::debug("vector index read", {{"index", index.entry.name},
                                   {"vectors", std::to_string(index.state->live())},
                                   {"ms", std::to_string((clock_.steady_ns() - start) / 1'000'000)}});
}

void Service::read_state(Index& index) {
  auto state = std::make_unique<State>(index.entry.config, kernels_);
  for (const auto& [property, since] : store_.properties(index.number)) state->add_property(property, since);
  // What is committed between these two comes by publish().
  const std::int64_t end = store_.next_entry(index.number);
  std::vector<Mutation> mutations = store_.mutations(index.number);
  while (!mutations.empty() && mutations.back().first_entry + mutations.back().entries > end) mutations.pop_back();
  std::vector<std::int64_t> dead;
  std::deque<Mutation> waiting;
  std::string processed = index.processed_mutation;
  std::int64_t processed_ms = index.processed_ms;
  std::int64_t processed_seq = 0;
  const std::int64_t due = clock_.unix_ms() - options_.delay_ms;
  index.saved_graph = 0;
  std::size_t next = 0;
  constexpr std::size_t kRoomEvery = 256;  // vectors between looks at whether there is room
  std::size_t read = 0;
  const auto finish = [&](Mutation& m) {
    if (!waiting.empty() || (options_.delay_ms > 0 && m.accepted_ms > due)) {
      waiting.push_back(std::move(m));
      return;
    }
    state->apply(m, dead);
    processed = m.id;
    processed_ms = m.accepted_ms;
    processed_seq = m.seq;
  };
  const auto dimensions = static_cast<std::size_t>(index.entry.config.dimensions);
  store_.for_each_entry(index.number, 0, end, [&](std::int64_t entry, Vector&& vector) {
    if (vector.values.size() != dimensions) throw Error(ErrorCode::internal, "the vector database is damaged");
    if (read++ % kRoomEvery == 0) {
      need_room(index, kRoomEvery * state->bytes_each());
      index.charge.set((read + kRoomEvery) * state->bytes_each());
    }
    while (next < mutations.size() && mutations[next].first_entry + mutations[next].entries <= entry) {
      finish(mutations[next++]);
    }
    if (next < mutations.size() && entry >= mutations[next].first_entry) {
      mutations[next].vectors.emplace_back(entry, std::move(vector));
    } else {
      state->put(entry, vector, dead);
    }
  });
  while (next < mutations.size()) finish(mutations[next++]);
  if (const auto path = graph_path(index); !path.empty() && state->live() >= Maintenance::kGraphFrom) {
    if (load_graph(path, *state)) index.saved_graph = state->graphed();
  }
  const std::int64_t newest = mutations.empty() ? 0 : std::max(processed_seq, waiting.empty() ? 0 : waiting.back().seq);
  const std::lock_guard state_lock(index.state_lock);
  const std::lock_guard lock(index.pending_mutex);
  index.charge.set(std::max(state->bytes(), state->bytes_each()));
  index.state = std::move(state);
  index.dead = std::move(dead);
  index.processed_mutation = processed;
  index.processed_ms = processed_ms;
  index.processed_seq = processed_seq;
  index.unsettled = processed_seq > 0;
  while (!index.pending.empty() && index.pending.front().seq <= newest) {
    index.coming -= static_cast<std::int64_t>(index.pending.front().vectors.size());
    index.pending.pop_front();
  }
  for (const Mutation& m : waiting) index.coming += static_cast<std::int64_t>(m.vectors.size());
  index.pending.insert(index.pending.begin(), std::make_move_iterator(waiting.begin()),
                       std::make_move_iterator(waiting.end()));
  index.loaded = Loaded::yes;
}

IndexInfo Service::info(const std::string& account, const std::string& name) {
  const Held held = hold(account, name);
  const Index& index = *held.index;
  return {index.entry.config.dimensions, held.state().live(), index.processed_mutation, index.processed_ms};
}

Match Service::match_of(Index& index, const Query& query, const Near& near) {
  const State& state = *index.state;
  Match match;
  match.id = state.id(near.slot);
  match.score = state.slots().score(near.distance);
  match.ns = state.columns().namespace_of(near.slot);
  if (query.values) {
    const auto values = state.slots().values(near.slot);
    match.values.assign(values.begin(), values.end());
  }
  if (query.metadata == MetadataLevel::indexed) match.metadata = state.columns().indexed_metadata(near.slot);
  if (query.metadata == MetadataLevel::all) match.metadata = store_.metadata(state.slots().entry(near.slot));
  return match;
}

QueryResult Service::query(const std::string& account, const std::string& name, const Query& query) {
  const std::int64_t start = clock_.steady_ns();
  try {
    QueryResult result = answer(account, name, query);
    query_times_.add(clock_.steady_ns() - start);
    return result;
  } catch (...) {
    ++failed_queries_;
    throw;
  }
}

QueryResult Service::answer(const std::string& account, const std::string& name, const Query& query) {
  QueryResult result;
  IndexPtr index;
  {
    const Held held = hold(account, name);
    index = held.index;
    const State& state = held.state();
    Prepared prepared;
    if (query.vector_id) {
      const Slot slot = state.find(*query.vector_id);
      if (slot == kNoSlot) return result;
      prepared = state.slots().prepare(state.slots().values(slot));
    } else {
      prepared = state.slots().prepare(query.vector);
    }
    const Filter* const filter = query.filter ? &*query.filter : nullptr;
    for (const Near& near : state.nearest(prepared, {query.top_k, 0}, query.ns, filter)) {
      result.matches.push_back(match_of(*index, query, near));
    }
    if (filter != nullptr) result.unindexed = unindexed(*filter, state.columns());
  }
  for (const auto& property : result.unindexed) {
    const std::lock_guard lock(index->properties_mutex);
    if (index->warned.size() < 100 && index->warned.insert(property).second) {
      log::warn("a query filters by a property that has no metadata index: no vector has it",
                {{"index", index->entry.name}});
    }
  }
  return result;
}

std::vector<Vector> Service::get_by_ids(const std::string& account, const std::string& name,
                                        const std::vector<std::string>& ids) {
  const Held held = hold(account, name);
  const State& state = held.state();
  std::vector<Vector> out;
  std::set<std::string_view> seen;
  for (const auto& id : ids) {
    const Slot slot = state.find(id);
    if (slot == kNoSlot || !seen.insert(id).second) continue;
    const auto values = state.slots().values(slot);
    out.push_back({id,
                   state.columns().namespace_of(slot),
                   {values.begin(), values.end()},
                   store_.metadata(state.slots().entry(slot))});
  }
  return out;
}

VectorPage Service::list_vectors(const std::string& account, const std::string& name, std::size_t count,
                                 const std::string& cursor) {
  if (!cursor.empty()) {
    if (auto page = cursors_.next(find(account, name)->number, cursor, count, clock_.unix_ms())) return *page;
    throw Error::worded(ErrorCode::vectorize_query_json, "the cursor is unknown or has expired; start a new list");
  }
  std::vector<std::string> ids;
  std::int64_t number = 0;
  {
    const Held held = hold(account, name);
    const State& state = held.state();
    number = held.index->number;
    ids.reserve(static_cast<std::size_t>(state.live()));
    for (Slot slot = 0; slot < state.slots().size(); ++slot) {
      if (state.slots().is_live(slot)) ids.push_back(state.id(slot));
    }
  }
  return cursors_.first(number, std::move(ids), count, clock_.unix_ms());
}

std::vector<MetadataIndex> Service::metadata_indexes(const std::string& account, const std::string& name) {
  const IndexPtr index = find(account, name);
  const std::lock_guard lock(index->properties_mutex);
  std::vector<MetadataIndex> out;
  for (const auto& [property, since] : index->properties) out.push_back(property);
  return out;
}

Figures Service::figures() {
  Figures f;
  for (const IndexPtr& index : all()) {
    ++f.indexes;
    if (index->charge.bytes() == 0) continue;
    ++f.indexes_in_memory;
    {
      const std::shared_lock lock(index->state_lock);
      if (index->state != nullptr) f.vectors_in_memory += index->state->live();
    }
    const std::lock_guard lock(index->pending_mutex);
    f.pending_mutations += index->pending.size();
  }
  f.memory_bytes = memory_.used();
  f.memory_limit_bytes = memory_.limit();
  const auto of = [this](MutationKind kind) { return mutations_[static_cast<std::size_t>(kind)].load(); };
  f.inserts = of(MutationKind::insert);
  f.upserts = of(MutationKind::upsert);
  f.deletes = of(MutationKind::remove);
  f.metadata_indexes = of(MutationKind::add_property) + of(MutationKind::remove_property);
  f.vectors_written = vectors_written_;
  f.failed_mutations = failed_mutations_;
  f.reads = reads_;
  f.failed_reads = failed_reads_;
  f.expired = maintenance_.expired();
  f.evicted = maintenance_.evicted();
  f.failed_queries = failed_queries_;
  query_times_.read(f);
  return f;
}

void Service::wait_until_quiet() {
  for (;;) {
    write_and_wait([](LogStore&) {});  // what was handed over before is on the disk
    bool waits = false;
    for (const auto& index : all()) {
      const std::lock_guard lock(index->pending_mutex);
      waits = waits || (index->loaded == Loaded::yes && !index->pending.empty());
    }
    if (!waits) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  maintenance_.wait_until_done();
}

}  // namespace glia::vectorize
