// Work on indexes that nobody waits for, on a thread of its own at a low priority: vectors are put into the graph, an
// index of which much was deleted is made compact, graphs are saved.
// Thread rule: wake() and wait_until_done() from any thread. Ownership: holds the indexes it works on.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "vectorize/index.h"

namespace glia::vectorize {

class Maintenance {
 public:
  /// Indexes of fewer vectors have no graph: looking at all of them is as fast.
  static constexpr std::int64_t kGraphFrom = 8'192;

  using Indexes = std::function<std::vector<std::shared_ptr<Index>>()>;
  /// Where an index's graph is kept; an empty path: nowhere.
  using GraphPath = std::function<std::filesystem::path(const Index&)>;

  Maintenance(int threads, Indexes indexes, GraphPath graph_path);
  ~Maintenance();

  /// Something was applied.
  void wake();
  void wait_until_done();
  /// Ends the thread, after saving graphs that have grown.
  void stop();

 private:
  void run();
  /// True: it did something, and there may be more.
  bool work_on(Index& index);
  bool extend_graph(Index& index);
  bool compact(Index& index);
  void save(Index& index, bool any_growth);
  bool stopping();

  const int threads_;
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
