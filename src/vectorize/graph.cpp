#include "vectorize/graph.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace glia::vectorize {
namespace {

constexpr std::size_t kGroundWords = 1 + Graph::kLinks;
constexpr std::size_t kUpWords = 1 + Graph::kUpLinks;
constexpr std::size_t kNewLinks =
    20;  ///< of a slot when it comes, on level 0; the others are for those that come later
constexpr std::size_t kLocks = 1 << 16;
/// Of the search on level 1 for a way into level 0: at least so much, and one for so many slots, as more clusters need
/// more looked at.
constexpr std::size_t kWayWidth = 16;
constexpr std::size_t kWaySlots = 8192;
constexpr std::size_t kWays = 4;  ///< ways that a search of the level below begins with
constexpr std::uint64_t kNoEntry = 0xFFFFFFFF'FFFFFFFFULL;

std::uint32_t read_word(const std::uint32_t* word) {
  return std::atomic_ref(*const_cast<std::uint32_t*>(word)).load(std::memory_order_relaxed);
}
void write_word(std::uint32_t* word, std::uint32_t value) {
  std::atomic_ref(*word).store(value, std::memory_order_relaxed);
}

/// The same for an entry in every run: an eighth reaches the next level.
int level_for(std::int64_t entry) {
  std::uint64_t x = static_cast<std::uint64_t>(entry) + 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  x ^= x >> 31;
  return std::min(std::countl_zero(x) / 3, Graph::kMostLevel);
}

std::size_t most_links(int level) { return level == 0 ? Graph::kLinks : Graph::kUpLinks; }

class SpinLock {
 public:
  explicit SpinLock(std::atomic<std::uint8_t>& flag) : flag_(flag) {
    while (flag_.exchange(1, std::memory_order_acquire) != 0) {
      while (flag_.load(std::memory_order_relaxed) != 0) {
      }
    }
  }
  ~SpinLock() { flag_.store(0, std::memory_order_release); }
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

 private:
  std::atomic<std::uint8_t>& flag_;
};

}  // namespace

struct Graph::Candidate {
  float distance;
  Slot slot;
  bool expanded;
};

/// What one search or insert needs, kept for the next one.
struct Graph::Scratch {
  std::vector<std::uint8_t> seen;  ///< by slot: the mark of the search that saw it
  std::uint8_t mark = 0;
  std::vector<Candidate> pool;  ///< nearest first
  Slot batch[kLinks + 1];
  const std::int8_t* rows[kLinks + 1];
  std::int32_t products[kLinks + 1];
  std::vector<std::int16_t> q, other;
  std::vector<Near> chosen, list;

  void begin(std::size_t slots) {
    if (seen.size() < slots) seen.resize(slots + slots / 2);
    if (++mark == 0) {
      std::fill(seen.begin(), seen.end(), std::uint8_t{0});
      mark = 1;
    }
    pool.clear();
  }
  bool first_seen(Slot slot) { return std::exchange(seen[slot], mark) != mark; }
};

/// A Scratch for a scope.
class Graph::Borrowed {
 public:
  explicit Borrowed(const Graph& graph) : graph_(graph) {
    const std::lock_guard lock(graph.scratch_mutex_);
    if (graph.scratches_.empty()) {
      scratch_ = std::make_unique<Scratch>();
      scratch_->q.resize(static_cast<std::size_t>(graph.slots_.padded()));
      scratch_->other.resize(static_cast<std::size_t>(graph.slots_.padded()));
    } else {
      scratch_ = std::move(graph.scratches_.back());
      graph.scratches_.pop_back();
    }
  }
  ~Borrowed() {
    const std::lock_guard lock(graph_.scratch_mutex_);
    graph_.scratches_.push_back(std::move(scratch_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Scratch& operator*() const { return *scratch_; }

 private:
  const Graph& graph_;
  std::unique_ptr<Scratch> scratch_;
};

Graph::Graph(const Slots& slots)
    : slots_(slots), locks_(std::make_unique<std::atomic<std::uint8_t>[]>(kLocks)), entry_(kNoEntry) {}

Graph::~Graph() = default;

void Graph::grow(Slot size) {
  static_assert(kBlockSlots * kGroundWords * sizeof(std::uint32_t) % Block::kLargePage == 0);
  while (ground_.size() * kBlockSlots < size) {
    ground_.push_back(std::make_unique<Block>(kBlockSlots * kGroundWords * sizeof(std::uint32_t), 0));
  }
  const auto before = static_cast<Slot>(levels_.size());
  if (size <= before) return;
  levels_.resize(size);
  upper_.resize(size);
  for (Slot slot = before; slot < size; ++slot) {
    levels_[slot] = static_cast<std::uint8_t>(level_for(slots_.entry(slot)));
    if (levels_[slot] > 0) upper_[slot] = std::make_unique<std::uint32_t[]>(levels_[slot] * kUpWords);
  }
}

std::uint32_t* Graph::links(Slot slot, int level) const {
  if (level > 0) return upper_[slot].get() + static_cast<std::size_t>(level - 1) * kUpWords;
  return reinterpret_cast<std::uint32_t*>(ground_[slot / kBlockSlots]->data()) + (slot % kBlockSlots) * kGroundWords;
}

std::size_t Graph::read_links(Slot slot, int level, Slot* out) const {
  const std::uint32_t* const list = links(slot, level);
  const std::size_t n = std::min<std::size_t>(read_word(list), most_links(level));
  for (std::size_t i = 0; i < n; ++i) out[i] = read_word(list + 1 + i);
  return n;
}

void Graph::write_links(Slot slot, int level, std::span<const Near> neighbours) {
  std::uint32_t* const list = links(slot, level);
  for (std::size_t i = 0; i < neighbours.size(); ++i) write_word(list + 1 + i, neighbours[i].slot);
  write_word(list, static_cast<std::uint32_t>(neighbours.size()));
}

/// Integer products of q with the first n of the batch.
void Graph::measure(Scratch& s, const std::int16_t* q, std::size_t n) const {
  for (std::size_t i = 0; i < n; ++i) s.rows[i] = slots_.codes(s.batch[i]);
  slots_.kernels().dot_rows(s.products, s.rows, static_cast<std::int64_t>(n), q, slots_.padded());
}

/// The nearest that steps to nearer neighbours lead to.
template <class Distance>
Near Graph::descend(Scratch& s, const std::int16_t* q, Near from, int level, const Distance& distance) const {
  for (;;) {
    const std::size_t n = read_links(from.slot, level, s.batch);
    measure(s, q, n);
    Near best = from;
    for (std::size_t i = 0; i < n; ++i) {
      const float d = distance(s.batch[i], s.products[i]);
      if (d < best.distance) best = {d, s.batch[i]};
    }
    if (best.slot == from.slot) return from;
    from = best;
  }
}

/// The `width` nearest that are found from those of `from`, in the pool.
template <class Distance>
void Graph::search_level(Scratch& s, const std::int16_t* q, std::span<const Near> from, int level, std::size_t width,
                         const Distance& distance) const {
  s.begin(levels_.size());
  for (const Near& near : from) {
    s.pool.push_back({near.distance, near.slot, false});
    s.first_seen(near.slot);
  }
  std::size_t next = 0;
  while (next < s.pool.size()) {
    if (s.pool[next].expanded) {
      ++next;
      continue;
    }
    s.pool[next].expanded = true;
    std::size_t n = 0;
    const std::size_t found = read_links(s.pool[next].slot, level, s.batch);
    for (std::size_t i = 0; i < found; ++i) {
      if (s.first_seen(s.batch[i])) s.batch[n++] = s.batch[i];
    }
    measure(s, q, n);
    for (std::size_t i = 0; i < n; ++i) {
      const Candidate c{distance(s.batch[i], s.products[i]), s.batch[i], false};
      const bool full = s.pool.size() >= width;
      if (full && !(c.distance < s.pool.back().distance)) continue;
      const auto at = std::upper_bound(s.pool.begin(), s.pool.end(), c.distance,
                                       [](float d, const Candidate& other) { return d < other.distance; });
      next = std::min(next, static_cast<std::size_t>(at - s.pool.begin()));
      if (full) {
        std::move_backward(at, s.pool.end() - 1, s.pool.end());
        *at = c;
      } else {
        s.pool.insert(at, c);
      }
    }
    for (std::size_t i = next; i < s.pool.size() && i < next + 2; ++i) {
      if (!s.pool[i].expanded) __builtin_prefetch(links(s.pool[i].slot, level));
    }
  }
}

/// Where a search of level `level` begins, nearest first, in s.list: from the top by single steps, and across the level
/// below the last of them by a search of some width. Level 1 has to be crossed well: vectors that come cluster by
/// cluster, as passages of documents do, have few links between clusters on level 0.
template <class Distance>
void Graph::find_way(Scratch& s, const std::int16_t* q, std::uint64_t entry, int level,
                     const Distance& distance) const {
  s.batch[0] = static_cast<Slot>(entry);
  measure(s, q, 1);
  Near from{distance(s.batch[0], s.products[0]), s.batch[0]};
  int at = static_cast<int>(entry >> 32);
  for (; at > std::max(level, 1); --at) from = descend(s, q, from, at, distance);
  s.list.assign(1, from);
  if (at <= level) return;
  search_level(s, q, s.list, at, std::max(kWayWidth, levels_.size() / kWaySlots), distance);
  s.list.clear();
  for (std::size_t i = 0; i < std::min(kWays, s.pool.size()); ++i)
    s.list.push_back({s.pool[i].distance, s.pool[i].slot});
}

/// Of `from`, nearest first: those that are nearer to the slot than to any that was chosen before, at most `most`, into
/// s.chosen.
void Graph::choose(Scratch& s, std::vector<Near>& from, std::size_t most) const {
  s.chosen.clear();
  for (const Near& candidate : from) {
    if (s.chosen.size() == most) return;
    bool apart = true;
    if (!s.chosen.empty()) {
      slots_.prepare(candidate.slot, s.other.data());
      const Term& term = slots_.term(candidate.slot);
      constexpr std::size_t kAtOnce = 4;
      for (std::size_t i = 0; i < s.chosen.size() && apart; i += kAtOnce) {
        const std::size_t n = std::min(kAtOnce, s.chosen.size() - i);
        for (std::size_t j = 0; j < n; ++j) s.batch[j] = s.chosen[i + j].slot;
        measure(s, s.other.data(), n);
        for (std::size_t j = 0; j < n; ++j) {
          if (slots_.distance(term, s.batch[j], s.products[j]) < candidate.distance) apart = false;
        }
      }
    }
    if (apart) s.chosen.push_back(candidate);
  }
}

/// Adds `from` to the links of `to`; where there is no room, the best of all stay.
void Graph::link_back(Scratch& s, Slot from, Near to, int level) {
  const std::size_t most = most_links(level);
  const SpinLock lock(locks_[to.slot % kLocks]);
  std::size_t n = read_links(to.slot, level, s.batch);
  if (std::find(s.batch, s.batch + n, from) != s.batch + n) return;
  if (n < most) {
    std::uint32_t* const list = links(to.slot, level);
    write_word(list + 1 + n, from);
    write_word(list, static_cast<std::uint32_t>(n + 1));
    return;
  }
  slots_.prepare(to.slot, s.other.data());
  measure(s, s.other.data(), n);
  const Term& term = slots_.term(to.slot);
  s.list.clear();
  s.list.push_back({to.distance, from});
  for (std::size_t i = 0; i < n; ++i) s.list.push_back({slots_.distance(term, s.batch[i], s.products[i]), s.batch[i]});
  std::sort(s.list.begin(), s.list.end(), [](const Near& a, const Near& b) { return a.distance < b.distance; });
  std::vector<Near> kept = std::move(s.chosen);  // the caller's
  choose(s, s.list, most);
  write_links(to.slot, level, s.chosen);
  s.chosen = std::move(kept);
}

void Graph::publish_entry(Slot slot, int level) {
  const std::lock_guard lock(entry_mutex_);
  const std::uint64_t now = entry_.load(std::memory_order_relaxed);
  if (now != kNoEntry && static_cast<int>(now >> 32) >= level) return;
  entry_.store(static_cast<std::uint64_t>(level) << 32 | slot, std::memory_order_release);
}

void Graph::insert(Slot slot) {
  const int level = level_of(slot);
  std::uint64_t entry = entry_.load(std::memory_order_acquire);
  if (entry == kNoEntry) {
    publish_entry(slot, level);
    entry = entry_.load(std::memory_order_acquire);
  }
  if (static_cast<Slot>(entry) == slot) return;  // the first, or the way in: others link to it
  const Borrowed borrowed(*this);
  Scratch& s = *borrowed;
  slots_.prepare(slot, s.q.data());
  const Term& term = slots_.term(slot);
  const auto distance = [&](Slot other, std::int32_t product) { return slots_.distance(term, other, product); };
  const int top = static_cast<int>(entry >> 32);
  find_way(s, s.q.data(), entry, level, distance);
  std::vector<Near> found;
  std::vector<Near> from = s.list;
  for (int l = std::min(level, top); l >= 0; --l) {
    search_level(s, s.q.data(), from, l, kBuildWidth, distance);
    found.clear();
    for (const Candidate& c : s.pool) {
      if (c.slot != slot) found.push_back({c.distance, c.slot});
    }
    if (found.empty()) continue;
    from.assign(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(std::min(kWays, found.size())));
    choose(s, found, l == 0 ? kNewLinks : kUpLinks);
    {
      const SpinLock lock(locks_[slot % kLocks]);
      const std::size_t n = read_links(slot, l, s.batch);  // of those that found this slot on a level above
      found = s.chosen;
      for (std::size_t i = 0; i < n && found.size() < most_links(l); ++i) {
        const bool known = std::any_of(found.begin(), found.end(), [&](const Near& x) { return x.slot == s.batch[i]; });
        if (!known) found.push_back({0, s.batch[i]});
      }
      write_links(slot, l, found);
    }
    for (std::size_t i = 0; i < s.chosen.size(); ++i) link_back(s, slot, s.chosen[i], l);
  }
  if (level > top) publish_entry(slot, level);
}

std::vector<Near> Graph::search(const Prepared& p, std::size_t width) const {
  const std::uint64_t entry = entry_.load(std::memory_order_acquire);
  if (entry == kNoEntry) return {};
  const Borrowed borrowed(*this);
  Scratch& s = *borrowed;
  const auto distance = [&](Slot other, std::int32_t product) { return slots_.distance(p, other, product); };
  find_way(s, p.q.data(), entry, 0, distance);
  search_level(s, p.q.data(), s.list, 0, std::max(width, kWays), distance);
  std::vector<Near> out;
  out.reserve(s.pool.size());
  for (const Candidate& c : s.pool) out.push_back({c.distance, c.slot});
  return out;
}

}  // namespace glia::vectorize
