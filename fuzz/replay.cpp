// Stands in for libFuzzer's main where there is none: runs a harness over the files and folders named, once each, and
// with --mutations N over N changed copies of each, the same ones every time.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

#include "mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

int run(const std::filesystem::path& path, int mutations) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  for (int i = 0; i < mutations; i++) {
    const auto changed = glia::fuzz::Mutator(static_cast<std::uint64_t>(i)).mutated(bytes);
    LLVMFuzzerTestOneInput(changed.data(), changed.size());
  }
  return 1 + mutations;
}

}  // namespace

int main(int argc, char** argv) {
  int count = 0;
  int mutations = 0;
  for (int i = 1; i < argc; i++) {
    if (std::string_view(argv[i]) == "--mutations" && i + 1 < argc) {
      mutations = std::atoi(argv[++i]);
      continue;
    }
    if (!std::filesystem::is_directory(argv[i])) {
      count += run(argv[i], mutations);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) count += run(entry.path(), mutations);
    }
  }
  std::printf("%d inputs\n", count);
  return count > 0 ? 0 : 1;
}
