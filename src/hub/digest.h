// The two digests by which the hub names a file's bytes: SHA-256 (git LFS) and git's SHA-1 of a blob.
// Thread rule: one thread at a time. Errors: none. Source: git-lfs pointer files; git's object format.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace glia::hub {

enum class DigestKind { sha256, git_blob };

class Digest {
 public:
  /// `bytes`: how many there will be; git's digest begins with that.
  Digest(DigestKind kind, std::uint64_t bytes);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();
  void add(std::string_view bytes);
  /// Lower-case hexadecimal; once.
  std::string hex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::hub
