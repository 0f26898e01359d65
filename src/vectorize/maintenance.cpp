#include "vectorize/maintenance.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "vectorize/graph_file.h"

namespace glia::vectorize {
namespace {

constexpr Slot kBatch = 4'096;  ///< slots that are put into a graph between two looks around
constexpr std::int64_t kLeastDead = 4'096;
constexpr int kNice = 5;
constexpr std::size_t kTrimAfter = std::size_t{32} << 20;

/// This thread, and those that it starts, after everybody who answers.
void be_nice() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice); }

/// Vectors that wait before a graph is extended: few, so that looking at them costs little beside a walk.
std::int64_t patience(std::int64_t live) { return std::max<std::int64_t>(256, live / 200); }

/// How often idle indexes are looked for.
std::chrono::milliseconds look_every(std::int64_t keep_alive_ms) {
  return std::chrono::milliseconds(std::clamp<std::int64_t>(keep_alive_ms / 8, 200, 10'000));
}

}  // namespace

Maintenance::Maintenance(int threads, std::int64_t keep_alive_ms, const Clock& clock, MemoryUse& memory,
                         Indexes indexes, GraphPath graph_path)
    : threads_(threads),
      keep_alive_ms_(keep_alive_ms),
      clock_(clock),
      memory_(memory),
      indexes_(std::move(indexes)),
      graph_path_(std::move(graph_path)),
      thread_([this] { run(); }) {}

Maintenance::~Maintenance() { stop(); }

void Maintenance::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Maintenance::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Maintenance::wake() {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
  }
  changed_.notify_all();
}

void Maintenance::wait_until_done() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return (!wanted_ && !busy_) || stopping_; });
}

void Maintenance::wait_for_work() {
  std::unique_lock lock(mutex_);
  busy_ = false;
  changed_.notify_all();
  const auto wanted = [this] { return wanted_ || stopping_; };
  if (keep_alive_ms_ < 0) {
    changed_.wait(lock, wanted);
  } else {
    changed_.wait_for(lock, look_every(keep_alive_ms_), wanted);
  }
  wanted_ = false;
  busy_ = true;
}

void Maintenance::run() {
  be_nice();
  for (;;) {
    wait_for_work();
    if (stopping()) break;
    work_on_all();
    expire();
    give_back_heap();
  }
  const std::lock_guard lock(replacing_);
  for (const auto& index : indexes_()) save(*index, true);
}

void Maintenance::work_on_all() {
  for (const auto& index : indexes_()) {
    try {
      while (!stopping() && work_on(*index)) give_back_heap();
      const std::lock_guard lock(replacing_);
      if (!stopping()) save(*index, false);
    } catch (const std::exception&) {  // no memory: looking at all vectors still works
      log::warn("the graph of a vector index could not be extended", {{"index", index->entry.name}});
    }
  }
}

void Maintenance::expire() {
  if (keep_alive_ms_ < 0) return;
  for (const auto& index : indexes_()) {
    if (stopping()) return;
    const std::int64_t idle_ms = (clock_.steady_ns() - index->used_ns) / 1'000'000;
    if (index->charge.bytes() == 0 || idle_ms < keep_alive_ms_) continue;
    const std::lock_guard lock(replacing_);
    save(*index, true);
    if (take_out(*index)) ++expired_;
  }
}

bool Maintenance::make_room(const Index& keep, std::size_t bytes) {
  const std::lock_guard lock(replacing_);
  auto indexes = indexes_();
  std::sort(indexes.begin(), indexes.end(), [](const auto& a, const auto& b) { return a->used_ns < b->used_ns; });
  for (const auto& index : indexes) {
    if (memory_.has_room(bytes)) break;
    if (index.get() == &keep || index->charge.bytes() == 0) continue;
    save(*index, false);
    if (take_out(*index)) ++evicted_;
  }
  return memory_.has_room(bytes);
}

/// All of it is on the disk: what waits to be applied or settled is read from the log again. False: somebody reads it
/// into memory just now.
bool Maintenance::take_out(Index& index) {
  const std::unique_lock load_lock(index.load_mutex, std::try_to_lock);
  if (!load_lock) return false;
  std::unique_ptr<State> gone;
  {
    const std::lock_guard lock(index.state_lock);
    const std::lock_guard pending_lock(index.pending_mutex);
    if (index.state == nullptr) return false;
    gone = std::move(index.state);
    for (const Mutation& m : index.pending) index.coming -= static_cast<std::int64_t>(m.vectors.size());
    index.pending.clear();
    index.dead.clear();
    index.unsettled = false;
    index.loaded = Loaded::no;
  }
  index.needed_bytes = gone->bytes();
  log::debug("vector index left memory", {{"index", index.entry.name}, {"vectors", std::to_string(gone->live())}});
  gone.reset();
  index.charge.set(0);
  return true;
}

/// What parsing and writing leave behind is many small pieces of the heap, that only this gives back to the system.
void Maintenance::give_back_heap() {
  const std::size_t used = memory_.used();
  if (std::max(used, trimmed_at_) - std::min(used, trimmed_at_) < kTrimAfter) return;
  trimmed_at_ = used;
  ::malloc_trim(0);
}

bool Maintenance::work_on(Index& index) {
  const std::lock_guard lock(replacing_);
  return !index.dropped && (compact(index) || extend_graph(index));
}

bool Maintenance::extend_graph(Index& index) {
  Slot from = 0;
  Slot to = 0;
  std::unique_ptr<Graph> fresh;
  Graph* graph = nullptr;
  {
    const std::lock_guard lock(index.state_lock);
    if (index.state == nullptr) return false;
    State& state = *index.state;
    from = state.graphed();
    to = std::min(state.slots().size(), from + kBatch);
    const std::int64_t waiting = state.slots().size() - from;
    if (state.live() < kGraphFrom || waiting < patience(state.live())) return false;
    if (state.graph() == nullptr) fresh = std::make_unique<Graph>(state.slots());
    graph = fresh ? fresh.get() : state.graph();
    graph->grow(to);
    if (fresh) state.adopt_graph(std::move(fresh), 0);
  }
  if (pool_ == nullptr) pool_ = std::make_unique<ThreadPool>(threads_);
  // Nobody replaces the state meanwhile, so what the pointers say stays true without its lock.
  constexpr Slot kPiece = 16;
  pool_->for_each((to - from + kPiece - 1) / kPiece, [&](std::uint32_t piece, int) {
    const Slot end = std::min(to, from + (piece + 1) * kPiece);
    for (Slot slot = from + piece * kPiece; slot < end; ++slot) graph->insert(slot);
  });
  const std::lock_guard lock(index.state_lock);
  index.state->set_graphed(to);
  return true;
}

/// Leaves out the slots that nothing is found of, once they are many. Queries go on meanwhile, and mutations but for
/// the time of the copy.
bool Maintenance::compact(Index& index) {
  std::unique_ptr<State> smaller;
  std::vector<Slot> to;  // by old slot
  std::vector<std::uint32_t> words;
  Slot graphed = 0;
  {
    const std::shared_lock lock(index.state_lock);
    if (index.state == nullptr) return false;
    const State& state = *index.state;
    const auto dead = static_cast<std::int64_t>(state.slots().size()) - state.live();
    if (dead < kLeastDead || dead * 3 < static_cast<std::int64_t>(state.slots().size())) return false;
    if (!memory_.has_room(static_cast<std::size_t>(state.live()) * state.bytes_each())) return false;  // for both
    smaller = state.without_dead(to);
    graphed = state.graphed();
    if (graphed > 0) state.graph()->save(words, graphed);
  }
  if (graphed > 0) {
    const std::span<const Slot> those = std::span(to).first(graphed);
    Slot size = 0;
    for (const Slot slot : those) size = slot == kNoSlot ? size : slot + 1;
    if (auto graph = renumbered(words, those, smaller->slots(), size)) smaller->adopt_graph(std::move(graph), size);
  }
  const std::lock_guard lock(index.state_lock);
  if (!smaller->catch_up(*index.state, to)) return true;  // its metadata indexes have changed: once more
  index.state = std::move(smaller);
  index.charge.set(index.state->bytes());
  index.saved_graph = 0;
  return true;
}

void Maintenance::save(Index& index, bool any_growth) {
  const auto path = graph_path_(index);
  if (path.empty() || index.dropped) return;
  std::vector<std::byte> bytes;
  Slot now = 0;
  {
    const std::shared_lock lock(index.state_lock);
    if (index.state == nullptr || index.state->graph() == nullptr) return;
    now = index.state->graphed();
    const Slot grown = now - std::min(now, index.saved_graph);
    if (grown == 0 || (!any_growth && grown < now / 50)) return;
    bytes = graph_bytes(*index.state);
  }
  if (write_graph(path, bytes)) {
    index.saved_graph = now;
  } else {
    log::warn("the graph of a vector index could not be saved", {{"index", index.entry.name}});
  }
}

}  // namespace glia::vectorize
