#include "hub/store.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/file_name.h"
#include "base/json.h"
#include "hub/choice.h"
#include "hub/layout.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostIndexBytes = std::size_t{64} << 20;

/// What a folder holds, by name; nothing where there is no such folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (fs::directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) out.push_back(it->path());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> entries_below(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    out.push_back(it->path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string read_small(const fs::path& path, std::size_t most) {
  std::error_code ec;
  const auto bytes = fs::file_size(path, ec);
  if (ec || bytes > most) return {};
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// refs/<branch or tag> by the commit in it.
std::map<std::string, std::vector<std::string>> refs_of(const fs::path& repo_folder) {
  std::map<std::string, std::vector<std::string>> out;
  const fs::path refs = repo_folder / "refs";
  for (const auto& path : entries_below(refs)) {
    std::error_code ec;
    if (!fs::is_regular_file(path, ec)) continue;
    std::string commit = read_small(path, 1024);
    while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
    out[commit].push_back(path.lexically_relative(refs).string());
  }
  return out;
}

Snapshot read_snapshot(const std::string& repo, const fs::path& path) {
  Snapshot snapshot{.repo = repo, .commit = path.filename().string(), .refs = {}, .path = path, .files = {}};
  std::set<fs::path> counted;
  for (const auto& entry : entries_below(path)) {
    std::error_code ec;
    if (!fs::is_regular_file(entry, ec)) continue;  // follows links: a link to nothing is not here
    // The blob as the link names it: in huggingface_hub's shared store that is a link itself.
    const fs::path blob =
        fs::is_symlink(entry, ec) ? (entry.parent_path() / fs::read_symlink(entry, ec)).lexically_normal() : entry;
    const std::uint64_t bytes = fs::file_size(entry, ec);
    if (ec) continue;
    snapshot.files.push_back({entry.lexically_relative(path).generic_string(), blob, bytes});
    if (counted.insert(blob).second) snapshot.bytes += bytes;
  }
  return snapshot;
}

std::vector<Snapshot> snapshots_of(const fs::path& repo_folder, const std::string& repo) {
  std::vector<Snapshot> out;
  const auto refs = refs_of(repo_folder);
  for (const auto& path : entries_of(repo_folder / "snapshots")) {
    if (!is_commit(path.filename().string())) continue;
    out.push_back(read_snapshot(repo, path));
    if (const auto at = refs.find(out.back().commit); at != refs.end()) out.back().refs = at->second;
  }
  return out;
}

bool is_meant(const Snapshot& snapshot, std::string_view revision) {
  constexpr std::size_t kShortestCommit = 7;
  if (std::find(snapshot.refs.begin(), snapshot.refs.end(), revision) != snapshot.refs.end()) return true;
  return revision.size() >= kShortestCommit && snapshot.commit.starts_with(revision);
}

std::optional<Snapshot> only_meant(std::vector<Snapshot> snapshots, std::string_view revision) {
  std::erase_if(snapshots, [&](const Snapshot& s) { return !is_meant(s, revision); });
  if (snapshots.size() == 1) return std::move(snapshots.front());
  // A ref beats the beginning of a commit.
  std::erase_if(snapshots,
                [&](const Snapshot& s) { return std::find(s.refs.begin(), s.refs.end(), revision) == s.refs.end(); });
  if (snapshots.size() == 1) return std::move(snapshots.front());
  return std::nullopt;
}

std::vector<std::string> names_of(const Snapshot& snapshot) {
  std::vector<std::string> out;
  for (const auto& file : snapshot.files) out.push_back(file.name);
  return out;
}

/// The first file of an embedding model's modules (a pooling, dense layers) that is not there.
std::string missing_of_modules(const Snapshot& snapshot, const std::set<std::string>& names) {
  try {
    const json::value modules = parse_json(read_small(snapshot.path / "modules.json", kMostIndexBytes));
    for (const auto& module : modules.as_array()) {
      const std::string folder(module.at("path").as_string());
      const bool dense = folder.ends_with("_Dense");
      if (!dense && !folder.ends_with("_Pooling")) continue;
      if (const std::string file = folder + "/config.json"; !names.contains(file)) return file;
      if (const std::string file = folder + "/model.safetensors"; dense && !names.contains(file)) return file;
    }
  } catch (const std::exception&) {
    return "a readable modules.json";
  }
  return {};
}

/// Files that a folder needs to be loaded and does not have: the first of them.
std::string missing_of_folder(const Snapshot& snapshot, const std::set<std::string>& names) {
  for (const char* needed : {"config.json", "tokenizer.json"}) {
    if (!names.contains(needed)) return needed;
  }
  if (names.contains("modules.json")) {
    if (std::string missing = missing_of_modules(snapshot, names); !missing.empty()) return missing;
  }
  if (names.contains("model.safetensors")) return {};
  try {
    const auto index = parse_json(read_small(snapshot.path / "model.safetensors.index.json", kMostIndexBytes));
    for (const auto& [tensor, shard] : index.at("weight_map").as_object()) {
      if (const std::string name(shard.as_string()); !names.contains(name)) return name;
    }
  } catch (const std::exception&) {
    return "a readable model.safetensors.index.json";
  }
  return {};
}

/// The first part of a GGUF that should be there and is not.
std::string missing_of_gguf(const std::string& first, const std::set<std::string>& names) {
  for (std::string& part : part_names(first)) {
    if (!names.contains(part)) return std::move(part);
  }
  return {};
}

}  // namespace

std::vector<Snapshot> Store::snapshots() const {
  std::vector<Snapshot> out;
  for (const auto& folder : entries_of(root_)) {
    const auto repo = repo_of_folder(folder.filename().string());
    if (!repo) continue;
    for (auto& snapshot : snapshots_of(folder, *repo)) out.push_back(std::move(snapshot));
  }
  return out;
}

std::optional<Snapshot> Store::find(const Reference& reference) const {
  const Layout layout{root_, reference.repo};
  return only_meant(snapshots_of(layout.folder(), reference.repo), reference.revision_or_main());
}

Located Store::locate(const Reference& reference) const {
  Located located;
  located.repo = reference.repo;
  const auto snapshot = find(reference);
  if (!snapshot) {
    located.missing = "no snapshot";
    return located;
  }
  located.commit = snapshot->commit;
  const auto list = names_of(*snapshot);
  const std::set<std::string> names(list.begin(), list.end());
  Choice choice;
  try {
    choice = choose_files(list, reference.file);
  } catch (const Error& error) {
    located.missing = error.detail();
    return located;
  }
  located.path = choice.gguf.empty() ? snapshot->path : snapshot->path / choice.gguf;
  const std::set<std::string> chosen(choice.files.begin(), choice.files.end());
  for (const auto& file : snapshot->files) located.bytes += chosen.contains(file.name) ? file.bytes : 0;
  located.missing = choice.gguf.empty() ? missing_of_folder(*snapshot, names) : missing_of_gguf(choice.gguf, names);
  located.available = located.missing.empty();
  return located;
}

}  // namespace glia::hub
