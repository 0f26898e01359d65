// A blob on its way: its parts come in any order and are written in their own, so that what is on disk is always the
// blob's first bytes. Whoever finds the file later, after a kill too, goes on at its end.
//
// Bytes before their turn wait in memory, at most `window` of them. Every byte is digested as it is written.
// Thread rule: any thread. Errors: glia::Error(model_unavailable), with the disk's words; what was written stays.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "hub/digest.h"
#include "hub/listing.h"

namespace glia::hub {

struct Part {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t got = 0;

  std::uint64_t position() const { return begin + got; }
  bool done() const { return position() == end; }
};

class PartialFile {
 public:
  /// Opens or makes `path`, and digests what is there already. The caller holds the blob's lock.
  PartialFile(std::filesystem::path path, const RemoteFile& file, std::uint64_t part_bytes, std::uint64_t window);
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile();

  /// The next part that nobody has; none when the window is full or nothing is left.
  std::optional<Part> claim();
  /// From now on one part is all that is left: the server gives no ranges.
  void in_one_part();
  /// The part's next bytes, no more than it lacks.
  void put(Part& part, std::string_view bytes);
  /// Bytes on disk.
  std::uint64_t written() const;
  bool whole() const { return written() == bytes_; }

  /// When whole: true and at `target`, or false, deleted and begun anew because its digest is not the blob's.
  bool finish(const std::filesystem::path& target);

 private:
  void open_and_digest();
  void write(std::string_view bytes);

  const std::filesystem::path path_;
  const std::uint64_t bytes_;
  const std::string blob_;
  const DigestKind kind_;
  const std::uint64_t window_;
  mutable std::mutex mutex_;
  int file_ = -1;
  Digest digest_;
  std::uint64_t part_bytes_;
  std::uint64_t written_ = 0;
  std::uint64_t claimed_ = 0;                     ///< all before it is somebody's
  std::map<std::uint64_t, std::string> waiting_;  ///< by where it begins
};

}  // namespace glia::hub
