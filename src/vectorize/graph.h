// A graph of near neighbours over slots: which slots are probably among the nearest, without looking at all of them.
//
// A hierarchical navigable small world graph with our own kernels: distances are int8 (slots.h), what it finds is to be
// compared exactly by the caller. A level above 0 has an eighth of the slots of the one below. Killed slots stay as
// ways. Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs"
// (2016). Thread rule: search() from any number of threads, also while insert() runs on others; insert() from any
// number of threads for different slots; grow() and load() need all of them excluded.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "vectorize/slots.h"

namespace glia::vectorize {

struct Near {
  float distance = 0;
  Slot slot = kNoSlot;
};

class Graph {
 public:
  static constexpr int kLinks = 32;       ///< of a slot on level 0
  static constexpr int kUpLinks = 16;     ///< on the levels above
  static constexpr int kBuildWidth = 80;  ///< how many a new slot's neighbours are chosen from
  static constexpr int kMostLevel = 7;

  explicit Graph(const Slots& slots);
  ~Graph();

  /// Makes room for slots below `size`.
  void grow(Slot size);
  /// Links the slot, which exists; again, where it has lost links.
  void insert(Slot slot);
  /// The `width` probably nearest slots of the graph, nearest first, killed ones among them.
  std::vector<Near> search(const Prepared& p, std::size_t width) const;

  /// Links as bytes, for a file: of slots below `size`, that are all inserted and not being changed.
  void save(std::vector<std::uint32_t>& words, Slot size) const;
  /// Takes links over: words as save() made them of a graph whose slot i is now to[i]; kNoSlot: it is no more. The
  /// slots to[...] ascend. False, and the graph is as it was, where the words are not a graph of that many. `links`: of
  /// each old slot, how many it had on level 0 and how many are left.
  bool load(std::span<const std::uint32_t> words, std::span<const Slot> to,
            std::vector<std::pair<std::uint8_t, std::uint8_t>>* links = nullptr);

  /// Of one slot in memory, on average.
  static constexpr std::size_t kBytesEach = sizeof(std::uint32_t) * (1 + kLinks) + sizeof(void*) + 1 +
                                            (sizeof(std::uint32_t) * (1 + kUpLinks) + 2 * sizeof(void*)) / 7;

 private:
  /// Slots of one block of links: whole large pages.
  static constexpr Slot kBlockSlots = Slot{1} << 19;

  struct Scratch;
  struct Candidate;
  class Borrowed;

  // A list of links: its length, then the slots. Read and written as relaxed atomics: a search may see a list half
  // changed, of which every slot is a slot.
  std::uint32_t* links(Slot slot, int level) const;
  int level_of(Slot slot) const { return levels_[slot]; }
  std::size_t read_links(Slot slot, int level, Slot* out) const;
  void write_links(Slot slot, int level, std::span<const Near> neighbours);

  void measure(Scratch& s, const std::int16_t* q, std::size_t n) const;
  template <class Distance>
  Near descend(Scratch& s, const std::int16_t* q, Near from, int level, const Distance& distance) const;
  template <class Distance>
  void search_level(Scratch& s, const std::int16_t* q, std::span<const Near> from, int level, std::size_t width,
                    const Distance& distance) const;
  template <class Distance>
  void find_way(Scratch& s, const std::int16_t* q, std::uint64_t entry, int level, const Distance& distance) const;
  void choose(Scratch& s, std::vector<Near>& from, std::size_t most) const;
  void link_back(Scratch& s, Slot from, Near to, int level);
  void publish_entry(Slot slot, int level);

  const Slots& slots_;
  std::vector<std::unique_ptr<Block>> ground_;           ///< [kBlockSlots][1 + kLinks]
  std::vector<std::unique_ptr<std::uint32_t[]>> upper_;  ///< by slot: [level][1 + kUpLinks], null on level 0
  std::vector<std::uint8_t> levels_;                     ///< by slot
  std::unique_ptr<std::atomic<std::uint8_t>[]> locks_;   ///< by slot, of a hash
  std::atomic<std::uint64_t> entry_;                     ///< level << 32 | slot
  std::mutex entry_mutex_;
  mutable std::mutex scratch_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> scratches_;
};

}  // namespace glia::vectorize
