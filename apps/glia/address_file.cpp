#include "address_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/json.h"
#include "settings.h"

namespace glia::cli {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path) {
  throw UsageError("cannot use the address file " + path.string() + ": " + std::strerror(errno));
}

/// Whether the file that is open is still the one of that name: its last owner may have removed it meanwhile.
bool is_there(int file, const std::filesystem::path& path) {
  struct stat open_one {};
  struct stat named {};
  return ::fstat(file, &open_one) == 0 && ::lstat(path.c_str(), &named) == 0 && open_one.st_ino == named.st_ino &&
         open_one.st_dev == named.st_dev;
}

}  // namespace

std::optional<AddressFile> AddressFile::take(const std::filesystem::path& path) {
  while (true) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) refuse(path);
    AddressFile taken(path, file);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
      const bool held = errno == EWOULDBLOCK;
      if (!held) refuse(path);
      ::close(std::exchange(taken.file_, -1));
      return std::nullopt;
    }
    if (is_there(file, path)) {
      if (::ftruncate(file, 0) != 0) refuse(path);
      return taken;
    }
    ::close(std::exchange(taken.file_, -1));
  }
}

AddressFile::AddressFile(AddressFile&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

AddressFile::~AddressFile() { withdraw(); }

void AddressFile::write(const std::string& url, const std::string& version) {
  const std::string line =
      json::serialize(json::object{{"url", url}, {"pid", ::getpid()}, {"version", version}}) + "\n";
  if (::pwrite(file_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) refuse(path_);
}

void AddressFile::withdraw() {
  if (file_ < 0) return;
  ::unlink(path_.c_str());
  ::close(std::exchange(file_, -1));  // and with it the lock
}

}  // namespace glia::cli
