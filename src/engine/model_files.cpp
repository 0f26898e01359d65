#include "engine/model_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>

#include "base/file_name.h"

namespace glia::engine {
namespace {

namespace fs = std::filesystem;

// FNV-1a over the bytes of a value.
void mix(std::uint64_t& digest, std::string_view bytes) {
  for (const char byte : bytes) digest = (digest ^ static_cast<unsigned char>(byte)) * 0x100000001B3U;
}
void mix(std::uint64_t& digest, std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) digest = (digest ^ ((value >> shift) & 0xFFU)) * 0x100000001B3U;
}

constexpr std::uint64_t kStart = 0xCBF29CE484222325U;

void mix(std::uint64_t& digest, const timespec& time) {
  mix(digest, static_cast<std::uint64_t>(time.tv_sec));
  mix(digest, static_cast<std::uint64_t>(time.tv_nsec));
}

}  // namespace

std::vector<fs::path> model_files(const fs::path& model, std::error_code& failed) {
  std::vector<fs::path> files;
  if (fs::is_directory(model, failed)) {
    for (fs::directory_iterator it(model, failed), end; !failed && it != end; it.increment(failed)) {
      if (it->is_regular_file(failed) && !failed) files.push_back(it->path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  if (!fs::exists(model, failed)) return files;
  for (const std::string& part : part_names(model.filename().string())) {
    const fs::path file = model.parent_path() / part;
    if (fs::exists(file, failed)) files.push_back(file);
    failed.clear();  // a part that is missing: loading says so, and again when it has come
  }
  return files;
}

std::optional<FileStamp> stamp_of(const fs::path& model) {
  std::error_code failed;
  FileStamp stamp;
  if (!fs::exists(model, failed)) return std::nullopt;
  const auto files = model_files(model, failed);
  if (failed) return std::nullopt;
  for (const fs::path& file : files) {
    const std::uint64_t bytes = fs::file_size(file, failed);
    if (failed) return std::nullopt;
    const auto time = fs::last_write_time(file, failed);
    if (failed) return std::nullopt;
    std::uint64_t digest = kStart;
    mix(digest, file.filename().native());
    mix(digest, bytes);
    mix(digest, static_cast<std::uint64_t>(time.time_since_epoch().count()));
    stamp.bytes += bytes;
    stamp.digest += digest;
  }
  return stamp;
}

std::optional<std::uint64_t> files_digest(const fs::path& model) {
  std::error_code failed;
  const auto files = model_files(model, failed);
  if (failed || files.empty()) return std::nullopt;
  std::uint64_t digest = kStart;
  for (const fs::path& file : files) {
    struct stat st {};
    if (::stat(file.c_str(), &st) != 0) return std::nullopt;
    mix(digest, file.filename().native());
    mix(digest, static_cast<std::uint64_t>(st.st_ino));
    mix(digest, static_cast<std::uint64_t>(st.st_size));
    mix(digest, st.st_mtim);
    mix(digest, st.st_ctim);
  }
  return digest;
}

}  // namespace glia::engine
