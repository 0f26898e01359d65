#include "engine/kv_pages.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace glia::engine {

struct KvPages::Node {
  Node* parent = nullptr;  // null: a root, which has no page
  std::string account;     // of a root
  std::vector<std::int32_t> tokens;
  std::int32_t page = -1;
  std::int32_t depth = 0;
  std::int32_t pins = 0;  // running sequences whose path it is on
  std::uint64_t last_use = 0;
  Node* keeper = nullptr;  // the root that counts it in `kept`
  std::int32_t kept = 0;   // of a root
  std::map<std::vector<std::int32_t>, std::unique_ptr<Node>> children;

  Node* child(std::span<const std::int32_t> block) const {
    const auto it = children.find(std::vector<std::int32_t>(block.begin(), block.end()));
    return it == children.end() ? nullptr : it->second.get();
  }
};

KvPages::KvPages(std::int32_t pages, std::int32_t page_tokens, bool share)
    : pool_(pages), page_tokens_(page_tokens), share_(share) {
  assert(pages > 0 && page_tokens > 0);
}
KvPages::KvPages(KvPages&&) noexcept = default;
KvPages& KvPages::operator=(KvPages&&) noexcept = default;
KvPages::~KvPages() = default;

std::int32_t KvPages::pages_for(std::int32_t prompt_tokens, std::int32_t max_tokens) const {
  const std::int64_t positions = std::int64_t{prompt_tokens} + max_tokens - 1;
  return static_cast<std::int32_t>((positions + page_tokens_ - 1) / page_tokens_);
}

std::span<const std::int32_t> KvPages::block(std::span<const std::int32_t> tokens, std::size_t page) const {
  const auto size = static_cast<std::size_t>(page_tokens_);
  return tokens.subspan(page * size, size);
}

std::vector<KvPages::Node*> KvPages::longest(Node& root, std::span<const std::int32_t> tokens) const {
  std::vector<Node*> path;
  const Node* at = &root;
  const std::size_t most = (tokens.size() - 1) / static_cast<std::size_t>(page_tokens_);
  while (path.size() < most) {
    Node* const next = at->child(block(tokens, path.size()));
    if (next == nullptr) break;
    path.push_back(next);
    at = next;
  }
  return path;
}

KvPages::Age KvPages::age(Node& node) const { return {node.last_use, -node.depth, &node}; }

void KvPages::pin(Node& node) {
  if (node.pins++ > 0) return;
  ++pinned_;
  leaves_.erase(age(node));
}

// `keeper`: the root of the account that will be back; null: nobody said so.
void KvPages::unpin(Node& node, Node* keeper) {
  const std::int32_t most_kept = std::max(pages() / 4, 1);
  if (keeper != nullptr && (node.keeper != nullptr || keeper->kept < most_kept)) {
    if (node.keeper == nullptr) ++keeper->kept;
    node.keeper = keeper;
    node.last_use = clock_ + static_cast<std::uint64_t>(pages());
  } else {
    node.last_use = std::max(node.last_use, clock_);
  }
  if (--node.pins > 0) return;
  --pinned_;
  if (node.children.empty()) leaves_.insert(age(node));
}

bool KvPages::grows(const Lease& lease) const {
  return lease.entered_ && static_cast<std::int32_t>(lease.path_.size()) + lease.reserved_ < lease.most_;
}

bool KvPages::enter(Lease& lease, std::string_view account, std::span<const std::int32_t> tokens,
                    std::int32_t max_tokens, PrefixCache use) {
  assert(!lease.entered_ && !tokens.empty() && max_tokens > 0);
  const auto now = pages_for(static_cast<std::int32_t>(tokens.size()), 1);
  const auto most = pages_for(static_cast<std::int32_t>(tokens.size()), max_tokens);
  assert(most <= pages());
  const bool shares = share_ && use != PrefixCache::off;
  const auto found = roots_.find(account);
  std::vector<Node*> path;
  if (shares && found != roots_.end()) path = longest(*found->second, tokens);
  const auto fresh = now - static_cast<std::int32_t>(path.size());
  const auto newly = static_cast<std::int32_t>(
      std::count_if(path.begin(), path.end(), [](const Node* node) { return node->pins == 0; }));
  const std::int32_t spare = entered_ == 0 ? 0 : growing_ + (now < most ? 1 : 0);
  if (committed() + fresh + newly + spare > pages()) return false;

  for (Node* node : path) pin(*node);
  reserved_ += fresh;
  lease.reserved_ = fresh;
  lease.most_ = most;
  lease.entered_ = true;
  lease.keep_ = use == PrefixCache::keep;
  lease.table_.reserve(static_cast<std::size_t>(most));
  lease.path_.reserve(static_cast<std::size_t>(most));
  for (Node* node : path) lease.table_.push_back(node->page);
  lease.path_.assign(path.begin(), path.end());
  ++entered_;
  if (grows(lease)) ++growing_;
  if (shares) {
    auto& root = found != roots_.end() ? found->second : roots_[std::string(account)];
    if (!root) {
      root = std::make_unique<Node>();
      root->account = account;
    }
    ++root->pins;
    lease.root_ = root.get();
  }
  return true;
}

bool KvPages::extend(Lease& lease, std::int32_t positions) {
  const std::int32_t more = pages_for(positions, 1) - static_cast<std::int32_t>(lease.path_.size()) - lease.reserved_;
  if (more <= 0) return true;
  if (committed() + more > pages()) return false;
  lease.reserved_ += more;
  reserved_ += more;
  if (!grows(lease)) --growing_;
  return true;
}

void KvPages::grow(Lease& lease, std::int32_t positions) {
  const auto wanted = static_cast<std::size_t>((positions + page_tokens_ - 1) / page_tokens_);
  while (lease.table_.size() < wanted) lease.table_.push_back(take());
  assert(static_cast<std::int32_t>(lease.table_.size() - lease.path_.size()) <= lease.reserved_);
}

void KvPages::share(Lease& lease, std::span<const std::int32_t> tokens, std::int32_t computed) {
  if (lease.root_ == nullptr) return;
  while (static_cast<std::int32_t>(lease.path_.size() + 1) * page_tokens_ <= computed) {
    const std::size_t i = lease.path_.size();
    Node& parent = i == 0 ? *lease.root_ : *lease.path_.back();
    const auto tokens_of_page = block(tokens, i);
    Node* node = parent.child(tokens_of_page);
    if (node != nullptr) {  // somebody was faster; the pages are equal, one is enough
      pool_.give_back({&lease.table_[i], 1});
      lease.table_[i] = node->page;
      pin(*node);
    } else {
      auto fresh = std::make_unique<Node>();
      node = fresh.get();
      node->parent = &parent;
      node->tokens.assign(tokens_of_page.begin(), tokens_of_page.end());
      node->page = lease.table_[i];
      node->depth = parent.depth + 1;
      node->pins = 1;
      parent.children.emplace(node->tokens, std::move(fresh));
      ++nodes_;
      ++pinned_;
    }
    lease.path_.push_back(node);
    --lease.reserved_;
    --reserved_;
  }
}

void KvPages::release(Lease& lease) {
  ++clock_;
  pool_.give_back(std::span(lease.table_).subspan(lease.path_.size()));
  for (Node* node : lease.path_) unpin(*node, lease.keep_ ? lease.root_ : nullptr);
  reserved_ -= lease.reserved_;
  if (lease.entered_) --entered_;
  if (grows(lease)) --growing_;
  if (Node* const root = lease.root_; root != nullptr && --root->pins == 0 && root->children.empty()) {
    roots_.erase(roots_.find(root->account));
  }
  lease = {};
}

std::int32_t KvPages::take() {
  if (pool_.used() == pool_.pages()) drop_oldest();
  return pool_.take();
}

void KvPages::drop_oldest() {
  assert(!leaves_.empty());
  Node& leaf = *std::get<Node*>(*leaves_.begin());
  leaves_.erase(leaves_.begin());
  pool_.give_back({&leaf.page, 1});
  --nodes_;
  if (leaf.keeper != nullptr) --leaf.keeper->kept;
  Node& parent = *leaf.parent;
  parent.children.erase(parent.children.find(std::vector<std::int32_t>(leaf.tokens)));
  if (!parent.children.empty() || parent.pins > 0) return;
  if (parent.parent != nullptr) {
    leaves_.insert(age(parent));
  } else {
    roots_.erase(roots_.find(parent.account));
  }
}

}  // namespace glia::engine
