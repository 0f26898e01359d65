// Store's removals: which blobs nobody needs any more.
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "base/error.h"
#include "hub/choice.h"
#include "hub/layout.h"
#include "hub/store.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;

/// What a file or link itself takes; nothing for links.
std::uint64_t own_bytes(const fs::path& path) {
  struct stat s {};
  return ::lstat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode) ? static_cast<std::uint64_t>(s.st_size) : 0;
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

/// A folder and all below it, the deepest first.
void add_tree(Removal& removal, const fs::path& folder) {
  std::error_code ec;
  std::vector<fs::path> paths;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    paths.push_back(it->path());
  }
  std::sort(paths.rbegin(), paths.rend());
  for (const auto& path : paths) removal.bytes += own_bytes(path);
  removal.paths.insert(removal.paths.end(), paths.begin(), paths.end());
  if (fs::exists(folder, ec)) removal.paths.push_back(folder);
}

void add_blob(Removal& removal, const fs::path& blob) {
  removal.paths.push_back(blob);
  removal.blobs.push_back(blob.filename().string());
  removal.bytes += own_bytes(blob);
}

/// The files of a snapshot that a reference means: all, or one GGUF with its parts.
std::vector<StoredFile> files_meant(const Snapshot& snapshot, const std::string& wanted) {
  if (wanted.empty()) return snapshot.files;
  std::vector<std::string> names;
  for (const auto& file : snapshot.files) names.push_back(file.name);
  std::vector<StoredFile> out;
  try {
    const auto chosen = choose_files(names, wanted).files;
    for (const auto& file : snapshot.files) {
      if (std::find(chosen.begin(), chosen.end(), file.name) != chosen.end()) out.push_back(file);
    }
  } catch (const Error&) {
    return {};
  }
  return out;
}

Removal whole_repository(const Layout& layout, const std::vector<Snapshot>& going) {
  Removal removal{.repo = layout.repo, .commits = {}, .bytes = 0, .paths = {}, .blobs = {}};
  for (const auto& snapshot : going) removal.commits.push_back(snapshot.commit);
  std::error_code ec;
  for (fs::directory_iterator it(layout.folder() / "blobs", ec), end; !ec && it != end; it.increment(ec)) {
    std::string name = it->path().filename().string();
    removal.blobs.push_back(name.substr(0, name.find('.')));  // what is incomplete has its blob's lock
  }
  std::sort(removal.blobs.begin(), removal.blobs.end());
  removal.blobs.erase(std::unique(removal.blobs.begin(), removal.blobs.end()), removal.blobs.end());
  add_tree(removal, layout.folder());
  return removal;
}

}  // namespace

std::optional<Removal> Store::plan_removal(const Reference& reference) const {
  const Layout layout{root_, reference.repo};
  std::vector<Snapshot> going;
  std::vector<Snapshot> staying;
  const auto meant = reference.revision.empty() ? std::nullopt : find(reference);
  for (auto& snapshot : snapshots()) {
    if (snapshot.repo != reference.repo) continue;
    const bool goes = reference.revision.empty() || (meant && meant->commit == snapshot.commit);
    (goes ? going : staying).push_back(std::move(snapshot));
  }
  std::error_code ec;
  if (going.empty() && (!reference.revision.empty() || !fs::exists(layout.folder(), ec))) return std::nullopt;
  std::set<fs::path> needed;
  for (const auto& snapshot : staying) {
    for (const auto& file : snapshot.files) needed.insert(file.blob);
  }
  bool all = true;
  Removal removal{.repo = reference.repo, .commits = {}, .bytes = 0, .paths = {}, .blobs = {}};
  std::set<fs::path> blobs;
  for (const auto& snapshot : going) {
    const auto files = files_meant(snapshot, reference.file);
    std::set<std::string> names;
    for (const auto& file : files) names.insert(file.name);
    for (const auto& file : snapshot.files) {
      if (!names.contains(file.name)) needed.insert(file.blob);
    }
    for (const auto& file : files) blobs.insert(file.blob);
    if (!files.empty()) removal.commits.push_back(snapshot.commit);
    if (files.size() < snapshot.files.size()) {
      all = false;
      for (const auto& file : files) removal.paths.push_back(snapshot.path / file.name);
      continue;
    }
    add_tree(removal, snapshot.path);
    for (const auto& ref : snapshot.refs) removal.paths.push_back(layout.ref(ref));
    if (const fs::path tree = layout.folder() / "trees" / (snapshot.commit + ".json"); fs::exists(tree, ec)) {
      removal.paths.push_back(tree);
    }
  }
  if (all && staying.empty()) return whole_repository(layout, going);
  if (removal.commits.empty()) return std::nullopt;
  for (const auto& blob : blobs) {
    if (!needed.contains(blob) && is_inside(blob, layout.folder() / "blobs")) add_blob(removal, blob);
  }
  return removal;
}

void Store::remove(const Removal& removal) const {
  const Layout layout{root_, removal.repo};
  std::vector<BlobLock> locks;
  for (const auto& blob : removal.blobs) {
    auto lock = BlobLock::try_take(layout.lock(blob));
    if (!lock) {
      throw Error(ErrorCode::model_unavailable, "another program is just pulling " + removal.repo);
    }
    locks.push_back(std::move(*lock));
  }
  for (const auto& path : removal.paths) {
    std::error_code ec;
    std::filesystem::remove(path, ec);
    if (ec) {
      throw Error(ErrorCode::model_unavailable,
                  path.filename().string() + " of " + removal.repo + " cannot be removed: " + ec.message());
    }
  }
}

}  // namespace glia::hub
