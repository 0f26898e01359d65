// Work on indexes that nobody waits for, on a thread of its own at a low priority: vectors are put into the graph, an
// index of which much was deleted is made compact, graphs are saved, idle indexes leave memory. Nobody else replaces or
// takes away the state of an index that is in memory.
// Thread rule: public methods from any thread. Ownership: holds the indexes it works on.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "vectorize/index.h"
#include "vectorize/memory_use.h"

namespace glia::vectorize {

class Maintenance {
 public:
  /// Indexes of fewer vectors have no graph: looking at all of them is as fast.
  static constexpr std::int64_t kGraphFrom = 8'192;

  using Indexes = std::function<std::vector<std::shared_ptr<Index>>()>;
  /// Where an index's graph is kept; an empty path: nowhere.
  using GraphPath = std::function<std::filesystem::path(const Index&)>;

  /// `threads` for graphs; `keep_alive_ms`: an index that nobody used for so long leaves memory, -1: never.
  Maintenance(int threads, std::int64_t keep_alive_ms, const Clock& clock, MemoryUse& memory, Indexes indexes,
              GraphPath graph_path);
  ~Maintenance();

  /// Something was applied.
  void wake();
  void wait_until_done();
  /// Takes indexes out of memory, the longest unused first, until `bytes` more fit beside those that are left. False:
  /// they do not, though all have gone but `keep` and those that are being read into memory. May wait for a piece of
  /// this class's own work, a second or so.
  bool make_room(const Index& keep, std::size_t bytes);
  std::uint64_t expired() const { return expired_; }
  std::uint64_t evicted() const { return evicted_; }
  /// Ends the thread, after saving graphs that have grown.
  void stop();

 private:
  void run();
  void wait_for_work();
  void work_on_all();
  void expire();
  bool take_out(Index& index);
  void give_back_heap();
  /// True: it did something, and there may be more.
  bool work_on(Index& index);
  bool extend_graph(Index& index);
  bool compact(Index& index);
  void save(Index& index, bool any_growth);
  bool stopping();

  const int threads_;
  const std::int64_t keep_alive_ms_;
  const Clock& clock_;
  MemoryUse& memory_;
  FairLock replacing_;  ///< held by whoever replaces or takes away states
  std::size_t trimmed_at_ = 0;
  std::atomic<std::uint64_t> expired_{0};
  std::atomic<std::uint64_t> evicted_{0};
  Indexes indexes_;
  GraphPath graph_path_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;
  bool busy_ = false;
  bool stopping_ = false;
  std::unique_ptr<ThreadPool> pool_;  ///< of the thread below
  std::thread thread_;
};

}  // namespace glia::vectorize
