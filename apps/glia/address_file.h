// Where a server that several processes share says where it listens, and the lock that makes it the only one.
//
// The file is locked (flock) as long as the server lives: of several that are started at once for one file, one serves
// and the others end at once. Whoever reads it finds one JSON line, {"url","pid","version"}, or nothing yet.
// Ownership: the file is removed with the object. Thread rule: one thread. Errors: UsageError.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace glia::cli {

class AddressFile {
 public:
  /// None: another process has the lock.
  static std::optional<AddressFile> take(const std::filesystem::path& path);
  AddressFile(AddressFile&& other) noexcept;
  AddressFile& operator=(AddressFile&&) = delete;
  ~AddressFile();

  void write(const std::string& url, const std::string& version);
  /// Nobody who looks now may find this server: it is about to end.
  void withdraw();

 private:
  AddressFile(std::filesystem::path path, int file) : path_(std::move(path)), file_(file) {}

  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace glia::cli
