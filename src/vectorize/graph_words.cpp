// A graph's links as words, for a file, and back.
//
// entry slot, entry level, then per slot: level, and for each level from 0 the number of links and the links.
#include <algorithm>

#include "vectorize/graph.h"

namespace glia::vectorize {
namespace {

/// Words that are checked against their number before any of them is used.
class Reader {
 public:
  explicit Reader(std::span<const std::uint32_t> words) : words_(words) {}
  bool take(std::uint32_t& word) {
    if (at_ == words_.size()) return false;
    word = words_[at_++];
    return true;
  }
  bool take(std::size_t n, std::span<const std::uint32_t>& out) {
    if (n > words_.size() - at_) return false;
    out = words_.subspan(at_, n);
    at_ += n;
    return true;
  }
  bool at_end() const { return at_ == words_.size(); }

 private:
  std::span<const std::uint32_t> words_;
  std::size_t at_ = 0;
};

/// Calls list(i, level, links) for every list. False where the words are no graph of `size` slots.
template <class List>
bool for_each_list(std::span<const std::uint32_t> words, std::size_t size, List&& list) {
  Reader reader(words);
  std::uint32_t slot = 0;
  std::uint32_t entry_level = 0;
  if (!reader.take(slot) || !reader.take(entry_level)) return false;
  if (slot >= size || entry_level > Graph::kMostLevel) return false;
  for (std::size_t i = 0; i < size; ++i) {
    std::uint32_t level = 0;
    if (!reader.take(level) || level > Graph::kMostLevel) return false;
    for (std::uint32_t l = 0; l <= level; ++l) {
      std::uint32_t n = 0;
      std::span<const std::uint32_t> links;
      if (!reader.take(n) || n > static_cast<std::uint32_t>(l == 0 ? Graph::kLinks : Graph::kUpLinks)) return false;
      if (!reader.take(n, links)) return false;
      for (const std::uint32_t link : links) {
        if (link >= size) return false;
      }
      list(i, static_cast<int>(l), links);
    }
  }
  return reader.at_end();
}

}  // namespace

void Graph::save(std::vector<std::uint32_t>& words, Slot size) const {
  const std::uint64_t entry = entry_.load(std::memory_order_acquire);
  words.push_back(static_cast<std::uint32_t>(entry));
  words.push_back(static_cast<std::uint32_t>(entry >> 32));
  Slot found[kLinks];
  for (Slot slot = 0; slot < size; ++slot) {
    words.push_back(static_cast<std::uint32_t>(level_of(slot)));
    for (int level = 0; level <= level_of(slot); ++level) {
      const std::size_t n = read_links(slot, level, found);
      const std::size_t at = words.size();
      words.push_back(0);
      for (std::size_t i = 0; i < n; ++i) {
        if (found[i] < size) words.push_back(found[i]);
      }
      words[at] = static_cast<std::uint32_t>(words.size() - at - 1);
    }
  }
}

bool Graph::load(std::span<const std::uint32_t> words, std::span<const Slot> to,
                 std::vector<std::pair<std::uint8_t, std::uint8_t>>* counts) {
  if (!for_each_list(words, to.size(), [](std::size_t, int, std::span<const std::uint32_t>) {})) return false;
  Slot top = kNoSlot;
  int top_level = -1;
  if (counts != nullptr) counts->assign(to.size(), {});
  std::vector<Near> kept;
  for_each_list(words, to.size(), [&](std::size_t i, int level, std::span<const std::uint32_t> links) {
    const Slot slot = to[i];
    if (slot == kNoSlot) return;
    if (level > level_of(slot)) return;  // not as save() wrote it
    kept.clear();
    for (const std::uint32_t link : links) {
      const Slot other = to[link];
      if (other != kNoSlot && level_of(other) >= level) kept.push_back({0, other});
    }
    write_links(slot, level, kept);
    if (level == 0 && counts != nullptr) {
      (*counts)[i] = {static_cast<std::uint8_t>(links.size()), static_cast<std::uint8_t>(kept.size())};
    }
    if (level > top_level && (level == 0 || !kept.empty())) {
      top_level = level;
      top = slot;
    }
  });
  if (top == kNoSlot) return false;
  entry_.store(static_cast<std::uint64_t>(top_level) << 32 | top, std::memory_order_release);
  return true;
}

}  // namespace glia::vectorize
