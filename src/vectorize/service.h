// The Vectorize of vectorize.h: indexes by name, the way of a mutation from the log into memory, queries.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "vectorize/commit_queue.h"
#include "vectorize/cursors.h"
#include "vectorize/index.h"
#include "vectorize/log_store.h"
#include "vectorize/maintenance.h"
#include "vectorize/memory_use.h"
#include "vectorize/vectorize.h"

namespace glia::vectorize {

class Service final : public Vectorize {
 public:
  Service(const Options& options, const Clock& clock);
  ~Service() override;

  const Limits& limits() const override { return options_.limits; }
  IndexEntry create(const std::string& account, const std::string& name, const std::optional<std::string>& description,
                    const IndexConfig& config) override;
  IndexEntry get(const std::string& account, const std::string& name) override;
  std::vector<IndexEntry> list(const std::string& account) override;
  void drop(const std::string& account, const std::string& name) override;
  void drop_account(const std::string& account) override;
  void write(const std::string& account, const std::string& name, WriteKind kind, std::vector<Vector> vectors,
             Answered answered) override;
  void remove(const std::string& account, const std::string& name, std::vector<std::string> ids,
              Answered answered) override;
  void add_metadata_index(const std::string& account, const std::string& name, const MetadataIndex& index,
                          Answered answered) override;
  void remove_metadata_index(const std::string& account, const std::string& name, const std::string& property,
                             Answered answered) override;
  std::vector<MetadataIndex> metadata_indexes(const std::string& account, const std::string& name) override;
  IndexInfo info(const std::string& account, const std::string& name) override;
  QueryResult query(const std::string& account, const std::string& name, const Query& query) override;
  std::vector<Vector> get_by_ids(const std::string& account, const std::string& name,
                                 const std::vector<std::string>& ids) override;
  VectorPage list_vectors(const std::string& account, const std::string& name, std::size_t count,
                          const std::string& cursor) override;
  bool in_memory(const std::string& account, const std::string& name) override;
  Figures figures() override;
  void wait_until_quiet() override;

 private:
  using IndexPtr = std::shared_ptr<Index>;

  IndexPtr find(const std::string& account, const std::string& name) const;
  /// An index with its state, which nobody changes or takes out of memory while this lives.
  struct Held {
    IndexPtr index;
    std::shared_lock<FairLock> lock;
    const State& state() const { return *index->state; }
  };
  /// Reads the index into memory where it is not there.
  Held hold(const std::string& account, const std::string& name);
  void load(Index& index);
  void read_state(Index& index);
  /// Errors: glia::Error(out_of_capacity) where the index cannot have `more` bytes, whichever others leave memory.
  void need_room(const Index& index, std::size_t more);
  QueryResult answer(const std::string& account, const std::string& name, const Query& query);
  /// Hands `work` to the writer and waits for the disk.
  void write_and_wait(CommitQueue::Work work);
  void submit(const IndexPtr& index, Mutation mutation, Answered answered,
              std::function<void(LogStore&, const Mutation&)> also = {});
  /// A mutation is on the disk: from the writer's thread.
  void publish(const IndexPtr& index, Mutation mutation);
  /// Applies what is due. True: something waits still.
  bool apply_due(Index& index);
  void settle(const IndexPtr& index);
  std::vector<IndexPtr> all() const;
  std::filesystem::path graph_path(const Index& index) const;
  void tick();  ///< the applier's thread: what is due, what is to be settled
  Match match_of(Index& index, const Query& query, const Near& near);

  /// Holds the folder for this process.
  class FolderLock {
   public:
    explicit FolderLock(const std::filesystem::path& folder);
    ~FolderLock();
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

   private:
    int file_ = -1;
  };

  const Options options_;
  const Clock& clock_;
  const FolderLock folder_lock_;
  MemoryUse memory_;
  const kernels::VectorKernels& kernels_;
  LogStore store_;
  std::atomic<bool> has_dropped_{true};
  mutable std::mutex indexes_mutex_;
  std::map<std::pair<std::string, std::string>, IndexPtr> indexes_;
  std::atomic<std::int64_t> last_accepted_ms_{0};
  Cursors cursors_;
  std::mutex tick_mutex_;
  std::condition_variable tick_changed_;
  bool stopping_ = false;
  bool work_waits_ = false;
  std::array<std::atomic<std::uint64_t>, 5> mutations_{};  ///< answered, by MutationKind
  std::atomic<std::uint64_t> vectors_written_{0};
  std::atomic<std::uint64_t> failed_mutations_{0};
  std::atomic<std::uint64_t> reads_{0};
  std::atomic<std::uint64_t> failed_reads_{0};
  std::atomic<std::uint64_t> failed_queries_{0};
  QueryTimes query_times_;
  Maintenance maintenance_;
  std::unique_ptr<CommitQueue> queue_;
  std::thread ticker_;
};

}  // namespace glia::vectorize
