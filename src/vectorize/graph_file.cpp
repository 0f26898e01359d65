#include "vectorize/graph_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"

namespace glia::vectorize {
namespace {

constexpr char kMagic[8] = {'g', 'l', 'i', 'a', 'g', 'r', 'p', '2'};

struct Header {
  char magic[8];
  std::uint64_t slots;
  std::uint64_t words;
  std::uint64_t hash;  ///< of all that follows
};

/// Detects what a disk or a crash may have done to a file; not meant against anybody.
std::uint64_t hashed(std::span<const std::byte> bytes) {
  std::uint64_t lanes[4] = {1, 2, 3, 4};
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (std::size_t i = 0; i < 4; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at + 8 * i, 8);
      lanes[i] = (lanes[i] ^ word) * 0x9FB21C651E98DF25ULL;
      lanes[i] ^= lanes[i] >> 32;
    }
  }
  std::uint64_t hash = bytes.size();
  for (; at < bytes.size(); ++at) hash = (hash ^ static_cast<std::uint64_t>(bytes[at])) * 0x100000001B3ULL;
  for (const std::uint64_t lane : lanes) hash = (hash ^ lane) * 0x9FB21C651E98DF25ULL;
  return hash;
}

bool write_all(int file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(file, bytes.data(), bytes.size());
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const bool good = write_all(file, bytes) && ::fsync(file) == 0;
  ::close(file);
  return good;
}

/// Slots of which at least a third of the links are gone, by what they had.
bool is_thin(std::size_t had, std::size_t left) { return left * 3 < had * 2; }

}  // namespace

std::vector<std::byte> graph_bytes(const State& state) {
  const Slot size = state.graphed();
  if (state.graph() == nullptr || size == 0) return {};
  std::vector<std::uint32_t> words;
  words.reserve(static_cast<std::size_t>(size) * (Graph::kLinks + 3));
  state.graph()->save(words, size);
  std::vector<std::byte> bytes(sizeof(Header) + size * sizeof(std::int64_t) + words.size() * sizeof(std::uint32_t));
  auto* at = bytes.data() + sizeof(Header);
  for (Slot slot = 0; slot < size; ++slot, at += sizeof(std::int64_t)) {
    const std::int64_t entry = state.slots().is_live(slot) ? state.slots().entry(slot) : -1;
    std::memcpy(at, &entry, sizeof(entry));
  }
  std::memcpy(at, words.data(), words.size() * sizeof(std::uint32_t));
  Header header{{}, size, words.size(), hashed(std::span(bytes).subspan(sizeof(Header)))};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

bool write_graph(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const std::filesystem::path beside = path.string() + ".new";
  std::error_code ec;
  if (write_file(beside, bytes)) {
    std::filesystem::rename(beside, path, ec);
    return !ec;
  }
  std::filesystem::remove(beside, ec);
  return false;
}

bool load_graph(const std::filesystem::path& path, State& state) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) return false;
  const MappedFile file(path);
  const auto bytes = file.bytes();
  Header header;
  if (bytes.size() < sizeof(header)) return false;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto body = bytes.subspan(sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || header.slots > Slots::kMostSlots) return false;
  if (header.words > body.size() || body.size() != header.slots * 8 + header.words * 4) return false;
  if (hashed(body) != header.hash) return false;
  std::vector<std::int64_t> entries(header.slots);
  std::memcpy(entries.data(), body.data(), entries.size() * sizeof(std::int64_t));
  std::vector<std::uint32_t> words(header.words);
  std::memcpy(words.data(), body.data() + header.slots * 8, words.size() * sizeof(std::uint32_t));
  // Entries ascend in both.
  std::vector<Slot> to(entries.size(), kNoSlot);
  Slot slot = 0;
  Slot last = 0;
  std::size_t left = 0;
  std::int64_t before = -1;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i] < 0) continue;
    if (entries[i] <= before) return false;
    before = entries[i];
    while (slot < state.slots().size() && state.slots().entry(slot) < entries[i]) ++slot;
    if (slot == state.slots().size()) break;
    if (state.slots().entry(slot) != entries[i] || !state.slots().is_live(slot)) continue;
    to[i] = slot;
    last = slot;
    ++left;
  }
  if (left * 2 < entries.size()) return false;  // mostly gone: a new one is better
  const Slot size = last + 1;
  auto graph = renumbered(words, to, state.slots(), size);
  if (graph == nullptr) return false;
  // Live slots in between that are not in the file's graph: none where it was written by this program.
  std::vector<std::uint8_t> in_file(size);
  for (const Slot s : to) {
    if (s != kNoSlot) in_file[s] = 1;
  }
  for (Slot s = 0; s < size; ++s) {
    if (in_file[s] == 0 && state.slots().is_live(s)) graph->insert(s);
  }
  state.adopt_graph(std::move(graph), size);
  return true;
}

std::unique_ptr<Graph> renumbered(std::span<const std::uint32_t> words, std::span<const Slot> to, const Slots& slots,
                                  Slot size) {
  auto graph = std::make_unique<Graph>(slots);
  graph->grow(size);
  std::vector<std::pair<std::uint8_t, std::uint8_t>> had;  // links on level 0 by old slot: before, and now
  if (!graph->load(words, to, &had)) return nullptr;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (to[i] != kNoSlot && is_thin(had[i].first, had[i].second)) graph->insert(to[i]);
  }
  return graph;
}

}  // namespace glia::vectorize
