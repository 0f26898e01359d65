// Mutations of a good input that are the same on every machine and in every run: what libFuzzer would try first, for a
// suite that has no libFuzzer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace glia::fuzz {

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}

  /// One to eight changes: bits, bytes, blocks left out, doubled or moved, numbers at their edges, lines swapped.
  std::vector<std::uint8_t> mutated(std::vector<std::uint8_t> bytes) {
    for (std::size_t changes = 1 + below(8); changes > 0; changes--) change(bytes);
    return bytes;
  }

 private:
  /// splitmix64
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(next()); }

  void change(std::vector<std::uint8_t>& bytes) {
    constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '\r', '\n', ' ',
                                       '\t', '"',  ':',  ';',  '-',  '0',  '9'};
    if (bytes.empty()) return bytes.push_back(byte());
    const std::size_t at = below(bytes.size());
    const std::size_t length = 1 + below(std::min<std::size_t>(bytes.size() - at, 64));
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (below(8)) {
      case 0:
        *begin = static_cast<std::uint8_t>(*begin ^ (1U << below(8)));
        return;
      case 1:
        *begin = byte();
        return;
      case 2:
        *begin = kEdges[below(sizeof kEdges)];
        return;
      case 3:
        bytes.insert(begin, kEdges[below(sizeof kEdges)]);
        return;
      case 4:
        bytes.erase(begin, end);
        return;
      case 5: {
        const std::vector<std::uint8_t> block(begin, end);
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1)), block.begin(), block.end());
        return;
      }
      case 6:
        bytes.resize(at);
        return;
      default:
        std::rotate(begin, begin + static_cast<std::ptrdiff_t>(length / 2), end);
        return;
    }
  }

  std::uint64_t state_;
};

}  // namespace glia::fuzz
