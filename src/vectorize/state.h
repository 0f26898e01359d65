// An index as queries see it, in memory: vectors, metadata, graph.
//
// Built by applying mutations in their order; the same mutations make the same state. Thread rule: `const` calls may
// run at once, all others exclude everything, but for graph inserts (maintenance.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "vectorize/graph.h"
#include "vectorize/metadata_columns.h"
#include "vectorize/mutation.h"
#include "vectorize/slots.h"

namespace glia::vectorize {

/// How many results to look at, and how hard.
struct SearchOptions {
  std::size_t k = 5;
  std::size_t width = 0;  ///< of a search in the graph; 0: by k
};

class State {
 public:
  State(const IndexConfig& config, const kernels::VectorKernels& kernels);

  /// Entries that are no more found, and may go from the disk, are added to `dead`.
  void apply(const Mutation& mutation, std::vector<std::int64_t>& dead);
  /// One vector that is settled: as apply() of an upsert.
  void put(std::int64_t entry, const Vector& vector, std::vector<std::int64_t>& dead);
  /// Before any vector of a later entry.
  void add_property(const MetadataIndex& index, std::int64_t since_entry) { columns_.add_column(index, since_entry); }

  std::int64_t live() const { return static_cast<std::int64_t>(by_id_.size()); }
  Slot find(std::string_view id) const;
  const std::string& id(Slot slot) const { return ids_[slot]; }
  const Slots& slots() const { return slots_; }
  const MetadataColumns& columns() const { return columns_; }

  /// The nearest live slots that match, nearest first, with exact distances. Complete where they are few or there is no
  /// graph; else almost.
  std::vector<Near> nearest(const Prepared& p, const SearchOptions& options, const std::optional<std::string>& ns,
                            const Filter* filter) const;

  // The graph: of slots below graphed(); the others are compared one by one.
  Slot graphed() const { return graphed_; }
  Graph* graph() const { return graph_.get(); }
  /// A graph that may be filled: of its own until adopt_graph().
  void adopt_graph(std::unique_ptr<Graph> graph, Slot graphed);
  void set_graphed(Slot graphed) { graphed_ = graphed; }

  /// The live vectors alone, without a graph. `to`: the new slot of each old one, or kNoSlot.
  std::unique_ptr<State> without_dead(std::vector<Slot>& to) const;
  /// Follows what `from`, of which this is without_dead(), has become since. False: it cannot, and is of no more use.
  bool catch_up(const State& from, std::span<const Slot> to);

  /// Of memory: what the slots take, and the graph's links for all of them.
  std::size_t bytes() const { return slots_.size() * bytes_each(); }
  /// Of one vector, with an id and a namespace of up to 15 bytes and no indexed metadata.
  std::size_t bytes_each() const;

 private:
  Slot copy(const State& from, Slot slot);
  void kill(Slot slot, std::vector<std::int64_t>& dead);
  std::vector<Near> scan(const Prepared& p, std::size_t k, const std::vector<Slot>* which, Slot from) const;
  std::vector<Near> walk(const Prepared& p, std::size_t k, std::size_t width,
                         const std::optional<std::vector<Slot>>& matching) const;
  void keep_exact(const Prepared& p, std::size_t k, std::vector<Near>& candidates) const;

  // An id is kept once, by its slot; the set finds it through there.
  struct HashOfId {
    using is_transparent = void;
    const std::vector<std::string>& ids;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    std::size_t operator()(Slot slot) const { return (*this)(ids[slot]); }
  };
  struct SameId {
    using is_transparent = void;
    const std::vector<std::string>& ids;
    bool operator()(Slot a, Slot b) const { return a == b; }
    bool operator()(Slot slot, std::string_view text) const { return ids[slot] == text; }
    bool operator()(std::string_view text, Slot slot) const { return ids[slot] == text; }
  };

  IndexConfig config_;
  Slots slots_;
  MetadataColumns columns_;
  std::vector<std::string> ids_;  ///< by slot; empty of killed ones
  std::unordered_set<Slot, HashOfId, SameId> by_id_{0, HashOfId{ids_}, SameId{ids_}};  ///< live ones
  std::unique_ptr<Graph> graph_;
  Slot graphed_ = 0;
};

}  // namespace glia::vectorize
