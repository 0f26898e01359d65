#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace glia::hub {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  const int why = errno;
  if (why == ENOSPC || why == EDQUOT) {
    throw Error(ErrorCode::model_unavailable,
                "the disk is full; what came so far is kept, and the next pull goes on there");
  }
  throw Error(ErrorCode::model_unavailable, "the cache cannot be " + what + ": " + std::strerror(why));
}

}  // namespace

PartialFile::PartialFile(std::filesystem::path path, const RemoteFile& file, std::uint64_t part_bytes,
                         std::uint64_t window)
    : path_(std::move(path)),
      bytes_(file.bytes),
      blob_(file.blob),
      kind_(file.kind),
      window_(std::max(window, part_bytes)),
      digest_(file.kind, file.bytes),
      part_bytes_(part_bytes) {
  try {
    open_and_digest();
  } catch (...) {
    if (file_ >= 0) ::close(file_);
    throw;
  }
}

PartialFile::~PartialFile() {
  if (file_ >= 0) ::close(file_);
}

void PartialFile::open_and_digest() {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (file_ < 0) refuse("written");
  struct stat s {};
  if (::fstat(file_, &s) != 0) refuse("read");
  if (static_cast<std::uint64_t>(s.st_size) > bytes_ && ::ftruncate(file_, 0) != 0) refuse("written");
  std::string buffer(std::size_t{1} << 20, '\0');
  while (true) {
    const ssize_t n = ::pread(file_, buffer.data(), buffer.size(), static_cast<off_t>(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse("read");
    if (n == 0) break;
    digest_.add({buffer.data(), static_cast<std::size_t>(n)});
    written_ += static_cast<std::uint64_t>(n);
  }
  claimed_ = written_;
}

std::optional<Part> PartialFile::claim() {
  const std::lock_guard lock(mutex_);
  if (claimed_ == bytes_ || claimed_ - written_ >= window_) return std::nullopt;
  const Part part{.begin = claimed_, .end = claimed_ + std::min(part_bytes_, bytes_ - claimed_)};
  claimed_ = part.end;
  return part;
}

void PartialFile::in_one_part() {
  const std::lock_guard lock(mutex_);
  part_bytes_ = bytes_;
}

void PartialFile::put(Part& part, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (part.position() != written_) {
    waiting_[part.begin] += bytes;
    part.got += bytes.size();
    return;
  }
  write(bytes);
  part.got += bytes.size();
  for (auto next = waiting_.find(written_); next != waiting_.end(); next = waiting_.find(written_)) {
    write(next->second);
    waiting_.erase(next);
  }
}

void PartialFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(written_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) refuse("written");
    const auto done = static_cast<std::size_t>(n);
    digest_.add(bytes.substr(0, done));
    written_ += done;
    bytes.remove_prefix(done);
  }
}

std::uint64_t PartialFile::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

bool PartialFile::finish(const std::filesystem::path& target) {
  const std::lock_guard lock(mutex_);
  if (digest_.hex() == blob_) {
    if (::fsync(file_) != 0) refuse("written");
    if (::rename(path_.c_str(), target.c_str()) != 0) refuse("written");
    return true;
  }
  ::unlink(path_.c_str());
  ::close(std::exchange(file_, -1));
  digest_ = Digest(kind_, bytes_);
  written_ = claimed_ = 0;
  open_and_digest();
  return false;
}

}  // namespace glia::hub
