// The way of a mutation: to the disk, answered, into memory, settled.
#include <algorithm>
#include <chrono>
#include <mutex>

#include "base/log.h"
#include "vectorize/random_id.h"
#include "vectorize/service.h"

namespace glia::vectorize {
namespace {

constexpr std::chrono::milliseconds kTick{10};  ///< between looks at what is due
constexpr std::chrono::milliseconds kSettleEvery{400};

std::size_t bytes_of(const Mutation& m) {
  std::size_t bytes = 256;
  for (const auto& [entry, v] : m.vectors)
    bytes += v.values.size() * sizeof(float) + v.metadata.size() + v.id.size() + 128;
  for (const auto& id : m.ids) bytes += id.size() + 64;
  return bytes;
}

/// Of several vectors of one id in one call the service keeps the first of an insert, the last of an upsert; what is
/// written is what counts. Applying does the same, so this only keeps the log short.
void leave_out_repeated(WriteKind kind, std::vector<Vector>& vectors) {
  std::map<std::string_view, std::size_t> chosen;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const auto [it, is_new] = chosen.try_emplace(vectors[i].id, i);
    if (!is_new && kind == WriteKind::upsert) it->second = i;
  }
  if (chosen.size() == vectors.size()) return;
  std::vector<std::size_t> order;
  for (const auto& [id, at] : chosen) order.push_back(at);
  std::sort(order.begin(), order.end());
  std::vector<Vector> kept;
  for (const std::size_t at : order) kept.push_back(std::move(vectors[at]));
  vectors = std::move(kept);
}

}  // namespace

void Service::submit(const IndexPtr& index, Mutation given, Answered answered,
                     std::function<void(LogStore&, const Mutation&)> also) {
  auto mutation = std::make_shared<Mutation>(std::move(given));
  mutation->id = random_uuid();
  const std::size_t bytes = bytes_of(*mutation);
  const auto coming = static_cast<std::int64_t>(mutation->vectors.size());
  index->coming += coming;
  auto work = [this, index, mutation, also = std::move(also)](LogStore& store) {
    if (index->dropped) {
      throw Error::worded(ErrorCode::vectorize_index_not_found,
                          "vectorize.index.not_found - Index name \"" + index->entry.name + "\"");
    }
    // Never before an earlier one, whatever the clock does: order is by this and seq.
    last_accepted_ms_ = std::max(last_accepted_ms_.load(), clock_.unix_ms());
    mutation->accepted_ms = last_accepted_ms_;
    store.append(index->number, *mutation);
    if (also) also(store, *mutation);
  };
  auto done = [this, index, mutation, coming, answered = std::move(answered)](const Error* error) {
    const std::string id = mutation->id;
    if (error == nullptr) {
      ++mutations_[static_cast<std::size_t>(mutation->kind)];
      vectors_written_ += static_cast<std::uint64_t>(coming);
      publish(index, std::move(*mutation));
    } else {
      ++failed_mutations_;
      index->coming -= coming;
      const std::lock_guard lock(index->properties_mutex);
      index->properties = store_.properties(index->number);  // as the disk still has them
    }
    answered(error, id);
  };
  try {
    queue_->submit(std::move(work), std::move(done), bytes);
  } catch (...) {
    index->coming -= coming;
    throw;
  }
}

void Service::publish(const IndexPtr& index, Mutation mutation) {
  const auto vectors = static_cast<std::int64_t>(mutation.vectors.size());
  {
    const std::lock_guard lock(index->pending_mutex);
    if (index->loaded == Loaded::no) {  // it will be read from the disk
      index->coming -= vectors;
      return;
    }
    index->pending.push_back(std::move(mutation));
    if (index->loaded == Loaded::coming) return;
  }
  if (options_.delay_ms == 0) apply_due(*index);  // before it is answered
  {
    const std::lock_guard lock(tick_mutex_);
    work_waits_ = true;
  }
  tick_changed_.notify_one();
}

bool Service::apply_due(Index& index) {
  const std::int64_t due = clock_.unix_ms() - options_.delay_ms;
  bool applied = false;
  bool more = false;
  {
    const std::lock_guard lock(index.state_lock);
    if (index.state == nullptr) return false;
    for (;;) {
      Mutation mutation;
      {
        const std::lock_guard pending_lock(index.pending_mutex);
        if (index.pending.empty()) break;
        if (options_.delay_ms > 0 && index.pending.front().accepted_ms > due) {
          more = true;
          break;
        }
        mutation = std::move(index.pending.front());
        index.pending.pop_front();
      }
      index.coming -= static_cast<std::int64_t>(mutation.vectors.size());
      if (mutation.seq <= index.processed_seq) continue;  // it was read from the disk
      try {
        index.state->apply(mutation, index.dead);
      } catch (const std::exception&) {  // no memory: it is on the disk, and is tried again
        log::error("a change of a vector index could not be applied", {{"index", index.entry.name}});
        const std::lock_guard pending_lock(index.pending_mutex);
        index.coming += static_cast<std::int64_t>(mutation.vectors.size());
        index.pending.push_front(std::move(mutation));
        more = true;
        break;
      }
      index.processed_mutation = mutation.id;
      index.processed_ms = mutation.accepted_ms;
      index.processed_seq = mutation.seq;
      index.unsettled = true;
      applied = true;
    }
    if (applied) index.charge.set(std::max(index.state->bytes(), index.state->bytes_each()));
  }
  if (applied) maintenance_.wake();
  return more;
}

void Service::settle(const IndexPtr& index) {
  auto upto = std::make_shared<Mutation>();
  auto dead = std::make_shared<std::vector<std::int64_t>>();
  {
    const std::lock_guard lock(index->state_lock);
    if (!index->unsettled || index->dropped) return;
    upto->id = index->processed_mutation;
    upto->accepted_ms = index->processed_ms;
    upto->seq = index->processed_seq;
    dead->swap(index->dead);
    index->unsettled = false;
  }
  const auto work = [index, upto, dead](LogStore& store) {
    if (!index->dropped) store.settle(index->number, *upto, *dead);
  };
  queue_->submit(work, [index, dead](const Error* error) {
    if (error == nullptr) return;
    // Nothing may be forgotten: a later settle() would otherwise leave these behind as if they were live.
    const std::lock_guard lock(index->state_lock);
    index->dead.insert(index->dead.end(), dead->begin(), dead->end());
    index->unsettled = true;
  });
}

void Service::tick() {
  auto settled = std::chrono::steady_clock::now();
  std::unique_lock lock(tick_mutex_);
  while (!stopping_) {
    if (!work_waits_) tick_changed_.wait(lock, [this] { return stopping_ || work_waits_; });
    if (stopping_) return;
    work_waits_ = false;
    lock.unlock();
    bool more = false;
    const auto now = std::chrono::steady_clock::now();
    const bool settle_now = now - settled >= kSettleEvery;
    if (settle_now) settled = now;
    for (const auto& index : all()) {
      if (options_.delay_ms > 0) more = apply_due(*index) || more;
      if (settle_now) {
        settle(index);
      } else {
        const std::shared_lock state(index->state_lock);
        more = more || index->unsettled;
      }
    }
    lock.lock();
    if (more) {
      work_waits_ = true;
      tick_changed_.wait_for(lock, kTick, [this] { return stopping_; });
    }
  }
}

void Service::write(const std::string& account, const std::string& name, WriteKind kind, std::vector<Vector> vectors,
                    Answered answered) {
  const IndexPtr index = find(account, name);
  leave_out_repeated(kind, vectors);
  Mutation mutation;
  mutation.kind = kind == WriteKind::insert ? MutationKind::insert : MutationKind::upsert;
  for (Vector& vector : vectors) {
    if (vector.values.size() != static_cast<std::size_t>(index->entry.config.dimensions)) {
      throw Error::worded(ErrorCode::vectorize_invalid_vector,
                          "invalid vector for id=\"" + vector.id + "\", expected " +
                              std::to_string(index->entry.config.dimensions) + " dimensions, and got " +
                              std::to_string(vector.values.size()) + " dimensions");
    }
    mutation.vectors.emplace_back(0, std::move(vector));
  }
  const std::int64_t more = index->coming + static_cast<std::int64_t>(mutation.vectors.size());
  std::int64_t there = 0;
  std::size_t bytes = 0;  // that they will take; none where the index is on the disk alone
  {
    const std::shared_lock lock(index->state_lock);
    if (index->state != nullptr) {
      there = index->state->live();
      bytes = static_cast<std::size_t>(more) * index->state->bytes_each();
    }
  }
  if (there + more > options_.limits.vectors) {
    throw Error::worded(ErrorCode::vectorize_index_full,
                        "too many vectors in the index; max is " + std::to_string(options_.limits.vectors));
  }
  index->used_ns = clock_.steady_ns();
  if (bytes > 0) need_room(*index, bytes);
  submit(index, std::move(mutation), std::move(answered));
}

void Service::remove(const std::string& account, const std::string& name, std::vector<std::string> ids,
                     Answered answered) {
  Mutation mutation;
  mutation.kind = MutationKind::remove;
  mutation.ids = std::move(ids);
  submit(find(account, name), std::move(mutation), std::move(answered));
}

void Service::add_metadata_index(const std::string& account, const std::string& name, const MetadataIndex& property,
                                 Answered answered) {
  const IndexPtr index = find(account, name);
  Mutation mutation;
  mutation.kind = MutationKind::add_property;
  mutation.property = property;
  submit(index, std::move(mutation), std::move(answered), [this, index](LogStore& store, const Mutation& m) {
    const std::lock_guard lock(index->properties_mutex);
    auto& properties = index->properties;
    const auto same = std::find_if(properties.begin(), properties.end(),
                                   [&](const auto& p) { return p.first.property == m.property.property; });
    if (same != properties.end() && same->first.type != m.property.type) {
      throw Error::worded(ErrorCode::vectorize_invalid_config, "vectorize.index.invalid_config - Property \"" +
                                                                   m.property.property + "\" is indexed as " +
                                                                   std::string(type_name(same->first.type)));
    }
    if (same == properties.end() && properties.size() >= options_.limits.metadata_indexes) {
      throw Error::worded(ErrorCode::vectorize_invalid_config,
                          "vectorize.index.invalid_config - An index has at most " +
                              std::to_string(options_.limits.metadata_indexes) + " metadata indexes");
    }
    if (same != properties.end()) return;  // the service takes it again, and it covers what it covered
    store.add_property(index->number, m.property, m.first_entry);
    properties.emplace_back(m.property, m.first_entry);
  });
}

void Service::remove_metadata_index(const std::string& account, const std::string& name, const std::string& property,
                                    Answered answered) {
  const IndexPtr index = find(account, name);
  Mutation mutation;
  mutation.kind = MutationKind::remove_property;
  mutation.property.property = property;
  submit(index, std::move(mutation), std::move(answered), [index](LogStore& store, const Mutation& m) {
    const std::lock_guard lock(index->properties_mutex);
    const auto gone =
        std::erase_if(index->properties, [&](const auto& p) { return p.first.property == m.property.property; });
    if (gone == 0) {
      throw Error::worded(ErrorCode::vectorize_invalid_config,
                          "vectorize.index.invalid_config - There is no metadata index on that property");
    }
    store.remove_property(index->number, m.property.property);
  });
}

}  // namespace glia::vectorize
