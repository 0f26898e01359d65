// Any bytes as an encoder's folder: config.json, modules.json, the modules' own files and headers of safetensors. What
// is accepted can be loaded and encodes a text; everything else is refused with glia::Error.
// An input is lines "#file NAME" or "#weights NAME BYTES", each with what follows it up to the next: a file's text, or
// a header, in front of which goes its length and behind which that many bytes of zeros.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "formats/safetensors.h"
#include "models/encoder_model.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostWeights = std::size_t{1} << 20;

/// A folder of this process' own, gone at its end.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("glia-encoder-fuzz-" + std::to_string(::getpid()))) {}
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

  void fill(std::string_view input) {
    fs::remove_all(path_);
    fs::create_directories(path_);
    while (!input.empty()) {
      const std::size_t line = std::min(input.find('\n'), input.size());
      const std::string_view title = input.substr(0, line);
      input.remove_prefix(std::min(line + 1, input.size()));
      const std::size_t end = std::min(input.find("\n#"), input.size());
      write(title, input.substr(0, end));
      input.remove_prefix(std::min(end + 1, input.size()));
    }
  }

 private:
  void write(std::string_view title, std::string_view text) {
    const auto word = [&title] {
      const std::string_view first = title.substr(0, title.find(' '));
      title.remove_prefix(std::min(first.size() + 1, title.size()));
      return first;
    };
    const std::string_view kind = word();
    const std::string_view name = word();
    const fs::path folder = fs::path(name).parent_path();
    // Only names that stay inside, one folder deep.
    const bool plain = !name.empty() && name.find("..") == name.npos && name.front() != '/' && name.size() < 100 &&
                       std::count(name.begin(), name.end(), '/') <= 1 && name.find('\0') == name.npos;
    if (!plain) return;
    std::error_code none;
    fs::create_directories(path_ / folder, none);
    std::ofstream file(path_ / name, std::ios::binary | std::ios::trunc);
    if (kind == "#weights") {
      std::uint64_t bytes = 0;
      std::from_chars(title.data(), title.data() + title.size(), bytes);
      const std::uint64_t length = text.size();
      file.write(reinterpret_cast<const char*>(&length), sizeof(length)) << text;
      file << std::string(std::min<std::uint64_t>(bytes, kMostWeights), '\0');
    } else {
      file << text;
    }
  }

  fs::path path_;
};

void encode(const fs::path& path) {
  static const auto device = glia::kernels::make_cpu_device({.threads = 1});
  const auto folder = glia::formats::HfFolder::open(path);
  glia::models::estimate_encoder_memory(folder);
  const auto model = glia::models::load_encoder(folder, *device);
  constexpr std::array<std::int32_t, 1> kTokens = {0};
  std::vector<float> out(static_cast<std::size_t>(model->info().width));
  const glia::models::EncoderText text{
      .tokens = kTokens, .types = {}, .pooling = model->info().pooling, .normalise = true, .out = out};
  model->forward({&text, 1});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Folder folder;
  folder.fill({reinterpret_cast<const char*>(data), size});
  try {
    encode(folder.path());
  } catch (const glia::Error&) {
  }
  return 0;
}
