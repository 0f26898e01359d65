// One index of a running Vectorize: what is in memory of it, and what of its log is not applied yet.
//
// Locks, in this order: load_mutex, Maintenance's, state_lock, pending_mutex.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "vectorize/log_store.h"
#include "vectorize/memory_use.h"
#include "vectorize/mutation.h"
#include "vectorize/state.h"

namespace glia::vectorize {

/// A shared lock that readers without end do not keep a writer out of.
class FairLock {
 public:
  void lock() {
    const std::lock_guard gate(gate_);
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }
  void lock_shared() {
    const std::lock_guard gate(gate_);
    mutex_.lock_shared();
  }
  void unlock_shared() { mutex_.unlock_shared(); }

 private:
  std::mutex gate_;
  std::shared_mutex mutex_;
};

enum class Loaded { no, coming, yes };

struct Index {
  Index(const IndexRow& row, MemoryUse& memory)
      : charge(memory),
        number(row.number),
        account(row.account),
        entry(row.entry),
        processed_mutation(row.settled_mutation),
        processed_ms(row.settled_ms) {}

  MemoryUse::Charge charge;  ///< what the state takes; given back after it

  const std::int64_t number;
  const std::string account;
  const IndexEntry entry;
  std::atomic<bool> dropped{false};
  std::atomic<std::int64_t> used_ns{0};  ///< when it was last asked for, by the steady clock

  std::mutex load_mutex;
  std::size_t needed_bytes = 0;  ///< what it took when it left memory, or had taken where there was no more

  FairLock state_lock;
  std::unique_ptr<State> state;  ///< null while it is not in memory
  std::string processed_mutation;
  std::int64_t processed_ms = 0;
  std::int64_t processed_seq = 0;
  std::vector<std::int64_t> dead;  ///< entries that settle() has not deleted yet
  bool unsettled = false;          ///< something was applied since the last settle()
  Slot saved_graph = 0;            ///< slots in the graph's file

  std::mutex pending_mutex;
  Loaded loaded = Loaded::no;
  std::deque<Mutation> pending;         ///< answered and not applied, while loaded or coming
  std::atomic<std::int64_t> coming{0};  ///< vectors that were handed over for writing and are not applied

  std::mutex properties_mutex;
  std::vector<std::pair<MetadataIndex, std::int64_t>> properties;
  std::set<std::string, std::less<>> warned;  ///< properties without an index that were warned of
};

}  // namespace glia::vectorize
