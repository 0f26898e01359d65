#include "engine/packed_writer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "engine/model_files.h"

namespace glia::engine {
namespace {

namespace fs = std::filesystem;
using Clock = fs::file_time_type::clock;

constexpr auto kPatience = std::chrono::milliseconds(500);  // of a model that goes, with what is being written
constexpr auto kAbandoned = std::chrono::hours(1);          // an unfinished file of a process that was killed
constexpr int kNice = 10;                                   // a tenth of a busy core
constexpr std::string_view kUnfinished = ".part-";

// File systems whose files may be another machine's: NFS, SMB, SMB2, CIFS, AFS, Ceph, Lustre, GFS2, 9p, FUSE.
constexpr std::array<std::uint32_t, 10> kElsewhere = {0x6969,     0x517B,     0xFE534D42, 0xFF534D42, 0x5346414F,
                                                      0x00C36400, 0x0BD00BD0, 0x01161970, 0x01021997, 0x65735546};

[[noreturn]] void fail(int error) { throw std::system_error(error, std::generic_category()); }

void write_at(int fd, std::span<const std::uint8_t> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(n == 0 ? ENOSPC : errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

/// A file with a name of its own, gone with the object unless it is given its final name.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const fs::path& file) : path_(file.native() + std::string(kUnfinished) + "XXXXXX") {
    fd_ = ::mkostemp(path_.data(), O_CLOEXEC);  // 0600
    if (fd_ < 0) fail(errno);
  }
  ~UnfinishedFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
    ::close(fd_);
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  int fd() const { return fd_; }
  /// All of its room on the disk at once, where the file system can say so.
  void reserve(std::uint64_t bytes) const {
    if (::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) fail(errno);
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) fail(errno);
  }
  void rename(const fs::path& file) {
    if (::rename(path_.c_str(), file.c_str()) != 0) fail(errno);
    path_.clear();
  }

 private:
  std::string path_;
  int fd_ = -1;
};

void make_folder(const fs::path& folder) {
  fs::create_directories(folder.parent_path());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) fail(errno);
  if (!is_usable_folder(folder))
    throw std::runtime_error("the folder is not this user's alone on a disk of this machine");
}

bool has_room(const fs::path& folder, std::uint64_t bytes) {
  struct statvfs disk {};
  return ::statvfs(folder.c_str(), &disk) == 0 && bytes <= std::uint64_t{disk.f_bavail} * disk.f_frsize / 2;
}

/// Removes what was left unfinished, and the least recently used but `newest` until all fit into `most` bytes.
void tidy(const fs::path& folder, const fs::path& newest, std::uint64_t most) {
  struct Kept {
    fs::path path;
    fs::file_time_type used;
    std::uint64_t bytes;
  };
  std::error_code failed;
  std::vector<Kept> kept;
  std::uint64_t total = 0;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code gone;  // another process tidies too
    const std::string name = it->path().filename().string();
    const auto used = it->last_write_time(gone);
    const std::uint64_t bytes = gone ? 0 : it->file_size(gone);
    if (gone) continue;
    if (name.ends_with(kPackedEnding)) {
      total += bytes;
      if (it->path() != newest) kept.push_back({it->path(), used, bytes});
    } else if (name.find(kUnfinished) != std::string::npos && Clock::now() - used > kAbandoned) {
      fs::remove(it->path(), gone);
    }
  }
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  for (const Kept& file : kept) {
    if (total <= most) break;
    fs::remove(file.path, failed);
    total -= file.bytes;
  }
}

/// False when `stop` was set, or when the model's files changed since they were packed.
bool write_file(const PackedWriter::Job& job, const std::atomic<bool>& stop) {
  std::vector<PackedEntry> entries;
  for (const auto& piece : job.pieces) entries.push_back({.key = piece.key, .bytes = piece.bytes.size()});
  packed_head(entries, job.identity);  // the offsets; the sums come as the bytes go by
  const std::uint64_t bytes = packed_file_bytes(entries);
  make_folder(job.file.parent_path());
  std::error_code none;
  fs::remove(job.file, none);  // of no use any more, and in the way on a small disk
  if (bytes > job.options.most_bytes) throw std::runtime_error("larger than all that may be kept");
  if (!has_room(job.file.parent_path(), bytes)) throw std::runtime_error("the disk is nearly full");
  UnfinishedFile file(job.file);
  file.reserve(bytes);
  std::vector<std::uint64_t> sums;
  for (std::size_t i = 0; i < entries.size(); i++) {
    const auto data = job.pieces[i].bytes;
    sums.clear();
    for (std::size_t at = 0; at < data.size(); at += kPackedChunk) {
      if (stop) return false;
      const auto chunk = data.subspan(at, std::min(kPackedChunk, data.size() - at));
      sums.push_back(chunk_sum(chunk));
      write_at(file.fd(), chunk, entries[i].offset + at);
    }
    entries[i].sum = sum_of_sums(sums);
  }
  write_at(file.fd(), packed_head(entries, job.identity), 0);
  if (files_digest(job.model) != job.files) return false;
  file.rename(job.file);
  tidy(job.file.parent_path(), job.file, job.options.most_bytes);
  return true;
}

}  // namespace

bool is_usable_folder(const fs::path& folder) {
  struct stat st {};
  struct statfs disk {};
  if (::stat(folder.c_str(), &st) != 0 || ::statfs(folder.c_str(), &disk) != 0) return false;
  return S_ISDIR(st.st_mode) && st.st_uid == ::geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
         std::find(kElsewhere.begin(), kElsewhere.end(), static_cast<std::uint32_t>(disk.f_type)) == kElsewhere.end();
}

PackedWriter::PackedWriter(Job job) : job_(std::move(job)), thread_([this] { run(); }) {}

PackedWriter::~PackedWriter() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [this] { return done_; });
  }
  stop_ = true;
  thread_.join();
}

void PackedWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_; });
}

void PackedWriter::run() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  const std::string model = job_.model.filename().string();
  const auto say = [&](const std::string& why) {
    log::warn("packed weights were not kept", {{"model", model}, {"reason", why}});
  };
  try {
    if (write_file(job_, stop_)) log::debug("packed weights kept", {{"model", model}});
  } catch (const std::system_error& error) {
    say(error.code().message());  // not its text, which has paths
  } catch (const std::exception& error) {
    say(error.what());
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  changed_.notify_all();
}

}  // namespace glia::engine
