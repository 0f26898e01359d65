// Names and paths inside the shared cache (store.h), and the lock that its writers hold.
// Thread rule: functions of their arguments; BlobLock on one thread at a time. Internal to the room.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace glia::hub {

/// "models--owner--name" of "owner/name".
std::string folder_name(std::string_view repo);
/// And back; nothing for a folder that is no model's.
std::optional<std::string> repo_of_folder(std::string_view folder);

struct Layout {
  std::filesystem::path root;
  std::string repo;

  std::filesystem::path folder() const { return root / folder_name(repo); }
  std::filesystem::path blob(std::string_view name) const { return folder() / "blobs" / name; }
  /// What there is of a blob so far: its first bytes, as huggingface_hub up to 1.x kept and resumed it.
  std::filesystem::path incomplete(std::string_view name) const {
    return folder() / "blobs" / (std::string(name) + ".incomplete");
  }
  std::filesystem::path snapshot(std::string_view commit) const { return folder() / "snapshots" / commit; }
  std::filesystem::path ref(std::string_view revision) const { return folder() / "refs" / revision; }
  std::filesystem::path lock(std::string_view name) const {
    return root / ".locks" / folder_name(repo) / (std::string(name) + ".lock");
  }
};

/// Who has it alone may write the blob, of all programs that keep to the layout (flock).
class BlobLock {
 public:
  /// Nothing while another has it. Errors: glia::Error(model_unavailable) when the file cannot be made.
  static std::optional<BlobLock> try_take(const std::filesystem::path& path);
  BlobLock(BlobLock&& other) noexcept;
  BlobLock& operator=(BlobLock&& other) noexcept;
  ~BlobLock();

 private:
  explicit BlobLock(int file) : file_(file) {}
  int file_ = -1;
};

}  // namespace glia::hub
