#include "hub/pull.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "base/error.h"
#include "hub/choice.h"
#include "hub/fetch_files.h"
#include "hub/remote.h"
#include "hub/store.h"

namespace glia::hub {
namespace {

namespace fs = std::filesystem;

Error unavailable(const std::string& sentence) { return Error(ErrorCode::model_unavailable, sentence); }

std::string megabytes(std::uint64_t bytes) { return std::to_string((bytes + 999'999) / 1'000'000) + " MB"; }

Pulled what_is_here(const Reference& reference, const Environment& environment) {
  const auto located = Store(environment.cache).locate(reference);
  if (!located.available) {
    throw unavailable(reference.text() + " is not here (" + located.missing +
                      "), and nothing is fetched offline (HF_HUB_OFFLINE, --offline)");
  }
  return {located.commit, located.path, located.bytes};
}

std::vector<RemoteFile> chosen_of(const Listing& listing, const Reference& reference, std::string& gguf) {
  std::vector<std::string> names;
  std::map<std::string, const RemoteFile*> by_name;
  for (const auto& file : listing.files) {
    names.push_back(file.name);
    by_name[file.name] = &file;
  }
  Choice choice;
  try {
    choice = choose_files(names, reference.file);
  } catch (const Error& error) {
    throw unavailable(reference.repo + ": " + error.detail());
  }
  gguf = choice.gguf;
  std::vector<RemoteFile> out;
  for (const auto& name : choice.files) out.push_back(*by_name.at(name));
  return out;
}

void make_folders(const Layout& layout, const std::string& commit) {
  std::error_code ec;
  for (const auto& folder : {layout.folder() / "blobs", layout.folder() / "refs", layout.snapshot(commit)}) {
    fs::create_directories(folder, ec);
    if (ec) throw unavailable("the cache cannot be written: " + ec.message());
  }
  // Tells programs that make backups to leave the cache alone (bford.info/cachedir).
  if (const fs::path tag = layout.root / "CACHEDIR.TAG"; !fs::exists(tag, ec)) {
    std::ofstream(tag) << "Signature: 8a477f597d28d172789f06886806bc55\n"
                          "# This folder is a cache of the Hugging Face hub; see https://bford.info/cachedir/\n";
  }
}

/// Before the first byte: whether all that is missing fits.
void check_disk(const Layout& layout, std::uint64_t needed) {
  struct statvfs disk {};
  if (::statvfs(layout.folder().c_str(), &disk) != 0) return;
  const std::uint64_t available = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (needed > available) {
    throw unavailable("the disk of the cache is too full: " + megabytes(needed) + " are missing, " +
                      megabytes(available) + " are free; HF_HUB_CACHE can name another disk");
  }
}

/// As huggingface_hub does: whole or not at all, and only for names that are no commits.
void write_ref(const Layout& layout, std::string_view revision, const std::string& commit) {
  if (is_commit(revision)) return;
  const fs::path path = layout.ref(revision);
  const fs::path temporary = path.string() + "." + std::to_string(::getpid()) + ".tmp";
  std::error_code ec;
  fs::create_directories(path.parent_path(), ec);
  {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file << commit << std::flush;
    if (!file) throw unavailable("the cache cannot be written: " + std::string(std::strerror(errno)));
  }
  fs::rename(temporary, path, ec);
  if (ec) throw unavailable("the cache cannot be written: " + ec.message());
}

}  // namespace

Pulled pull(const Reference& reference, const PullOptions& options, PullWatcher& watcher) {
  if (options.environment.offline) return what_is_here(reference, options.environment);
  RemoteOptions remote{.environment = options.environment, .fetch = {}};
  remote.fetch.user_agent = options.user_agent;
  remote.fetch.ca_file = options.ca_file;
  remote.fetch.stall_timeout_s = options.stall_timeout_s;
  remote.fetch.cancelled = options.cancelled;
  remote.backoff_ms = options.backoff_ms;
  remote.on_wait = [&](const std::string& sentence) { watcher.said(sentence); };
  const Listing listing = Remote(std::move(remote)).list(reference);

  std::string gguf;
  const auto files = chosen_of(listing, reference, gguf);
  const Layout layout{options.environment.cache, reference.repo};
  make_folders(layout, listing.commit);
  PullPlan plan{.commit = listing.commit, .files = files.size()};
  std::vector<RemoteFile> missing;
  std::uint64_t needed = 0;
  std::set<std::string> counted;
  for (const auto& file : files) {
    plan.bytes += file.bytes;
    if (has_file(layout, listing.commit, file)) {
      link_file(layout, listing.commit, file);
      plan.here += file.bytes;
      continue;
    }
    missing.push_back(file);
    std::error_code ec;
    const std::uint64_t begun = fs::file_size(layout.incomplete(file.blob), ec);
    if (counted.insert(file.blob).second) needed += file.bytes - (ec ? 0 : std::min(begun, file.bytes));
  }
  watcher.planned(plan);
  if (!missing.empty()) {
    check_disk(layout, needed);
    fetch_files(layout, listing.commit, missing, plan.here, options, watcher);
  }
  write_ref(layout, reference.revision_or_main(), listing.commit);
  const fs::path folder = layout.snapshot(listing.commit);
  return {listing.commit, gguf.empty() ? folder : folder / gguf, plan.bytes};
}

}  // namespace glia::hub
