// The index of a file of packed weights. Whatever it says, what is read of it lies inside the file. The harness sets
// the size and the sum right where it can: chance would hardly get past them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "engine/packed_file.h"

namespace {

constexpr std::uint64_t kIdentity = 1;
constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kHeader = 5 * kWord;  // magic, identity, matrices, sum of the index, size of the file

void check(std::span<const std::uint8_t> file) {
  const auto index = glia::engine::read_packed_index(file, kIdentity);
  if (!index) return;
  for (const auto& entry : *index) {
    if (entry.offset > file.size() || entry.bytes > file.size() - entry.offset) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> file(data, data + size);
  check(file);
  if (size < kHeader) return 0;
  std::uint64_t matrices = 0;
  std::memcpy(&matrices, file.data() + 2 * kWord, kWord);
  if (matrices > (size - kHeader) / sizeof(glia::engine::PackedEntry)) return 0;
  std::vector<glia::engine::PackedEntry> entries(static_cast<std::size_t>(matrices));
  if (!entries.empty()) std::memcpy(entries.data(), file.data() + kHeader, entries.size() * sizeof(entries[0]));
  const std::uint64_t right[] = {glia::engine::packed_index_sum(entries, kIdentity), size};
  std::memcpy(file.data() + 3 * kWord, right, sizeof(right));
  check(file);
  return 0;
}
