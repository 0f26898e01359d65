// A file mapped read-only into memory.
// Errors: throws glia::Error (model_unavailable when it cannot be opened or mapped).
// Ownership: the mapping lives as long as the object; views into bytes() must not outlive it. Movable.
// Thread rule: const access from any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace glia {

class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Tells the system that the pages are not needed for now (after weights were repacked).
  void drop_pages() const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace glia
