#include "hub/layout.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "hub/reference.h"

namespace glia::hub {

constexpr std::string_view kModels = "models--";

std::string folder_name(std::string_view repo) {
  std::string out(kModels);
  const auto slash = repo.find('/');
  out += repo.substr(0, slash);
  if (slash != repo.npos) out.append("--").append(repo.substr(slash + 1));
  return out;
}

std::optional<std::string> repo_of_folder(std::string_view folder) {
  if (!folder.starts_with(kModels)) return std::nullopt;
  std::string repo(folder.substr(kModels.size()));
  if (const auto at = repo.find("--"); at != std::string::npos) repo.replace(at, 2, "/");
  if (!is_repo_name(repo)) return std::nullopt;
  return repo;
}

std::optional<BlobLock> BlobLock::try_take(const std::filesystem::path& path) {
  std::error_code ec;
  std::filesystem::create_directories(path.parent_path(), ec);
  // A holder may remove the file when it is done; then the lock we got is of no name, and we ask again.
  for (int attempt = 0; attempt < 100; attempt++) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
    if (file < 0) {
      throw Error(ErrorCode::model_unavailable,
                  "the lock of the cache cannot be made: " + std::string(std::strerror(errno)));
    }
    BlobLock lock(file);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      return lock;  // a file system without flock: as others do there, without a lock
    }
    struct stat ours {};
    struct stat named {};
    if (::fstat(file, &ours) == 0 && ::stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino) return lock;
  }
  return std::nullopt;
}

BlobLock::BlobLock(BlobLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
BlobLock& BlobLock::operator=(BlobLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}
BlobLock::~BlobLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace glia::hub
