// Writes the good files that fuzzing starts from into <folder>/gguf, <folder>/safetensors and <folder>/hf_quantised.
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

#include "formats/fixtures.h"

namespace {

bool write(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(file.flush());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_corpus FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  for (const auto* method : {"awq", "gptq", "act_order", "fp8", "mxfp4"}) {
    if (!write(folder / "hf_quantised" / method, glia::formats::small_quantised(method))) return 1;
  }
  return write(folder / "gguf/small.gguf", glia::formats::small_gguf()) &&
                 write(folder / "safetensors/small.safetensors", glia::formats::small_safetensors())
             ? 0
             : 1;
}
