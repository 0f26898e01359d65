#include "engine/packed_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "engine/model_files.h"

namespace glia::engine {
namespace {

namespace fs = std::filesystem;

std::span<const std::uint8_t> bytes_of(const MappedFile& file) {
  return {reinterpret_cast<const std::uint8_t*>(file.bytes().data()), file.bytes().size()};
}

void advise(std::span<const std::uint8_t> mapped, int advice) {
  ::madvise(const_cast<std::uint8_t*>(mapped.data()), mapped.size(), advice);  // where it is no help, it is no harm
}

std::uint64_t text_sum(std::string_view text) {
  return chunk_sum({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

/// Over the bytes of this program's executable; nothing where it cannot read itself.
std::optional<std::uint64_t> sum_of_program() {
  try {
    const MappedFile self("/proc/self/exe");
    std::vector<std::uint64_t> sums;
    const auto bytes = bytes_of(self);
    for (std::size_t at = 0; at < bytes.size(); at += kPackedChunk) {
      sums.push_back(chunk_sum(bytes.subspan(at, std::min(kPackedChunk, bytes.size() - at))));
    }
    return sum_of_sums(sums);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// What the names of all files of a model begin with.
std::string name_of(const fs::path& model) {
  std::error_code failed;
  const fs::path real = fs::weakly_canonical(model, failed);
  char digits[18];
  std::snprintf(digits, sizeof(digits), "%016llx-",
                static_cast<unsigned long long>(text_sum((failed ? model : real).native())));
  return digits;
}

std::string file_name(const fs::path& model, std::string device) {
  for (char& c : device) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  return name_of(model) + device + std::string(kPackedEnding);
}

}  // namespace

PackedCache::PackedCache(PackedCacheOptions options, std::string device)
    : options_(std::move(options)), device_(std::move(device)) {}

std::unique_ptr<PackedLoad> PackedCache::open(const fs::path& model) const {
  if (options_.folder.empty()) return nullptr;
  static const auto program = sum_of_program();  // cannot change while it runs
  const auto files = files_digest(model);
  if (!files || !program) return nullptr;
  const std::uint64_t parts[] = {*files, *program, text_sum(device_)};
  return std::make_unique<PackedLoad>(options_, model, options_.folder / file_name(model, device_), sum_of_sums(parts),
                                      *files);
}

std::uint64_t remove_packed(const fs::path& folder, std::span<const fs::path> models, bool only_count) {
  std::set<std::string, std::less<>> names;
  for (const fs::path& model : models) names.insert(name_of(model));
  std::uint64_t bytes = 0;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    const std::string file = it->path().filename().string();
    if (!file.ends_with(kPackedEnding) || !names.contains(file.substr(0, file.find('-') + 1))) continue;
    std::error_code gone;
    const std::uint64_t size = it->file_size(gone);
    if (!gone && (only_count || fs::remove(it->path(), gone))) bytes += size;
  }
  return bytes;
}

PackedLoad::PackedLoad(const PackedCacheOptions& options, fs::path model, fs::path file, std::uint64_t identity,
                       std::uint64_t files)
    : job_{.options = options,
           .model = std::move(model),
           .file = std::move(file),
           .identity = identity,
           .files = files,
           .pieces = {}} {
  map();
}

void PackedLoad::map() {
  std::error_code none;
  if (!is_usable_folder(job_.options.folder) || !fs::is_regular_file(job_.file, none)) return;
  try {
    auto mapped = std::make_shared<const MappedFile>(job_.file);
    auto entries = read_packed_index(bytes_of(*mapped), job_.identity);
    if (!entries) return;  // another version's: written over when the load is done
    entries_ = *std::move(entries);
    mapped_ = std::move(mapped);
  } catch (const Error&) {
    return;
  }
  advise(bytes_of(*mapped_), MADV_HUGEPAGE);
  ::utimensat(AT_FDCWD, job_.file.c_str(), nullptr, 0);  // used now; the least recently used go first
}

void PackedLoad::drop() {
  log::warn("packed weights on disk are damaged", {{"model", job_.model.filename().string()}});
  std::error_code none;
  fs::remove(job_.file, none);
  mapped_.reset();
}

std::shared_ptr<const std::uint8_t> PackedLoad::find(std::uint64_t key, std::size_t bytes, ThreadPool& pool) {
  if (!mapped_) return nullptr;
  if (next_ < entries_.size() && entries_[next_].key == key && entries_[next_].bytes == bytes) {
    const PackedEntry& entry = entries_[next_++];
    const auto data = bytes_of(*mapped_).subspan(static_cast<std::size_t>(entry.offset), bytes);
    advise(data, MADV_WILLNEED);
    if (packed_sum(data, pool) == entry.sum) {
      job_.pieces.push_back({.key = key, .bytes = data, .held = mapped_});
      return {mapped_, data.data()};
    }
  }
  drop();
  return nullptr;
}

void PackedLoad::keep(std::uint64_t key, std::span<const std::uint8_t> packed) {
  job_.pieces.push_back({.key = key, .bytes = packed});
  packed_ = true;
}

std::unique_ptr<PackedWriter> PackedLoad::keep_packed() {
  std::uint64_t bytes = 0;
  for (const auto& piece : job_.pieces) bytes += piece.bytes.size();
  if (!packed_ || bytes < job_.options.least_bytes) return nullptr;
  try {
    return std::make_unique<PackedWriter>(std::move(job_));
  } catch (const std::system_error&) {
    return nullptr;  // no more threads
  }
}

}  // namespace glia::engine
