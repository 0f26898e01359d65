// Who has which KV page: sequences that run, and a tree of what they computed, kept so that a later prompt with the
// same beginning need not compute it again.
//
// The tree has a root per account and a node per whole page: the tokens of that page, below the node of the page
// before. What a page holds depends on the tokens up to its end alone (kernels are batch-invariant), so a node's page
// serves every sequence of the account that begins with the same tokens. Pages of running sequences are pinned; the
// others are what the pool falls back on when no page is free, the least recently used first, leaves before what they
// hang on. A sequence enters when every page of the tokens it has is free, reclaimable, or its own by the tree, and a
// page is left for everybody that will soon need another; then it asks for more as it grows (extend). What was granted
// is reserved, so taking a page never fails.
// Keep: pages of a session that says it will be back outlive pages() uses by others, a quarter of all pages per account
// at most, so that nobody fills the memory with promises.
// Thread rule: one thread at a time. Errors: none; misuse is a programmer error (assert).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "engine/engine.h"
#include "engine/page_pool.h"

namespace glia::engine {

class KvPages {
 private:
  struct Node;

 public:
  /// What one sequence has. Give it back with release().
  class Lease {
   public:
    /// The page table: position p is in pages()[p / page_tokens].
    std::span<const std::int32_t> pages() const { return table_; }

   private:
    friend class KvPages;
    std::vector<std::int32_t> table_;
    std::vector<Node*> path_;    // the tree's nodes of its first pages; what follows in table_ is the sequence's alone
    Node* root_ = nullptr;       // null: not in the tree
    std::int32_t reserved_ = 0;  // pages that it may have beyond path_
    std::int32_t most_ = 0;      // pages that it can ever need
    bool entered_ = false;
    bool keep_ = false;
  };

  /// `share`: false keeps nothing beyond its sequence.
  KvPages(std::int32_t pages, std::int32_t page_tokens, bool share);
  KvPages(KvPages&&) noexcept;
  KvPages& operator=(KvPages&&) noexcept;
  ~KvPages();

  /// Pages that a sequence can need: its last token is never written.
  std::int32_t pages_for(std::int32_t prompt_tokens, std::int32_t max_tokens) const;

  /// Enters a sequence with the pages of the longest prefix that is there; false, and nothing happened, when its pages
  /// are not to be had now. At least the last token is left to compute. `max_tokens`: that may follow, at least 1.
  bool enter(Lease& lease, std::string_view account, std::span<const std::int32_t> tokens, std::int32_t max_tokens,
             PrefixCache use);
  /// Reserves what the first `positions` need; false, and nothing happened, when that is not to be had now.
  bool extend(Lease& lease, std::int32_t positions);
  /// Positions that a sequence which entered finds computed.
  std::int32_t cached_tokens(const Lease& lease) const {
    return static_cast<std::int32_t>(lease.path_.size()) * page_tokens_;
  }
  /// As many pages as `positions` need; they were granted.
  void grow(Lease& lease, std::int32_t positions);
  /// The first `computed` of `tokens` are in the pages: whole pages become the tree's, where others find them.
  void share(Lease& lease, std::span<const std::int32_t> tokens, std::int32_t computed);
  /// The sequence ended; the lease is empty then.
  void release(Lease& lease);

  std::int32_t pages() const { return pool_.pages(); }
  std::int32_t page_tokens() const { return page_tokens_; }
  /// Pages of running sequences.
  std::int32_t used() const { return pool_.used() - cached(); }
  /// Pages that no running sequence has, kept for the next that may need them.
  std::int32_t cached() const { return nodes_ - pinned_; }
  /// Pages that running sequences have or were granted.
  std::int32_t committed() const { return reserved_ + pinned_; }

 private:
  using Age = std::tuple<std::uint64_t, std::int32_t, Node*>;  // last use; then deeper first

  std::span<const std::int32_t> block(std::span<const std::int32_t> tokens, std::size_t page) const;
  std::vector<Node*> longest(Node& root, std::span<const std::int32_t> tokens) const;
  bool grows(const Lease& lease) const;
  Age age(Node& node) const;
  void pin(Node& node);
  void unpin(Node& node, Node* keeper);
  std::int32_t take();
  void drop_oldest();

  PagePool pool_;
  std::int32_t page_tokens_;
  bool share_;
  std::map<std::string, std::unique_ptr<Node>, std::less<>> roots_;  // by account
  std::set<Age> leaves_;                                             // unpinned, nothing below
  std::int32_t nodes_ = 0;
  std::int32_t pinned_ = 0;
  std::int32_t reserved_ = 0;
  std::int32_t entered_ = 0;  // sequences
  std::int32_t growing_ = 0;  // of these, those that may need more than they were granted
  std::uint64_t clock_ = 0;   // counts uses
};

}  // namespace glia::engine
