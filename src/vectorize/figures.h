// What a Vectorize has done and holds, in numbers: of all accounts together, so that nothing tells of one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace glia::vectorize {

/// Upper bounds of the buckets that queries are counted in; one more has what took longer.
inline constexpr std::array<double, 14> kQuerySeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                         0.025,  0.05,    0.1,    0.25,  0.5,    1,     5};

struct Figures {
  std::size_t indexes = 0;
  std::size_t indexes_in_memory = 0;
  std::int64_t vectors_in_memory = 0;  ///< that can be found; what lies on the disk alone is not counted
  std::size_t memory_bytes = 0;
  std::size_t memory_limit_bytes = 0;  ///< 0: none
  std::size_t pending_mutations = 0;   ///< answered and not seen by queries yet, of indexes in memory
  std::uint64_t inserts = 0;           ///< mutations that were answered, by what they were
  std::uint64_t upserts = 0;
  std::uint64_t deletes = 0;
  std::uint64_t metadata_indexes = 0;
  std::uint64_t vectors_written = 0;
  std::uint64_t failed_mutations = 0;  ///< that the disk or the memory had no room for
  std::uint64_t reads = 0;             ///< of an index into memory, by how they went
  std::uint64_t failed_reads = 0;
  std::uint64_t expired = 0;  ///< indexes that left memory: idle for the keep-alive; to make room
  std::uint64_t evicted = 0;
  std::uint64_t failed_queries = 0;
  std::array<std::uint64_t, kQuerySeconds.size() + 1> query_counts{};  ///< answered ones by their time, not cumulative
  double query_seconds = 0;                                            ///< all of theirs
};

/// Counts queries by their time. Thread rule: any thread.
class QueryTimes {
 public:
  void add(std::int64_t ns) {
    std::size_t bucket = 0;
    while (bucket < kQuerySeconds.size() && static_cast<double>(ns) * 1e-9 > kQuerySeconds[bucket]) ++bucket;
    ++counts_[bucket];
    ns_ += ns;
  }
  void read(Figures& to) const {
    for (std::size_t i = 0; i < counts_.size(); ++i) to.query_counts[i] = counts_[i];
    to.query_seconds = static_cast<double>(ns_) * 1e-9;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kQuerySeconds.size() + 1> counts_{};
  std::atomic<std::int64_t> ns_{0};
};

}  // namespace glia::vectorize
