// The weights on this disk, in the cache that all Hugging Face tools share:
//
//   models--owner--name/blobs/<sha256 or git blob sha1>        the bytes
//   models--owner--name/refs/<branch or tag>                   the commit it was at
//   models--owner--name/snapshots/<commit>/<file>              a relative link to its blob
//   .locks/models--owner--name/<blob>.lock                     flock of who writes the blob
//
// Reads and removes; nothing here opens a connection (pull.h does).
// Thread rule: immutable; any thread. What other programs do to the cache meanwhile shows in the next call.
// Errors: glia::Error(model_unavailable) for a removal that fails; a cache that is not there is empty.
// Source: huggingface_hub's guide "Understand caching".
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/reference.h"

namespace glia::hub {

struct StoredFile {
  std::string name;            ///< "model-00001-of-00002.safetensors"
  std::filesystem::path blob;  ///< what its link points to
  std::uint64_t bytes = 0;     ///< of the blob
};

/// One revision of one repository, as far as it is here.
struct Snapshot {
  std::string repo;               ///< "meta-llama/Llama-3.1-8B-Instruct"
  std::string commit;             ///< 40 digits
  std::vector<std::string> refs;  ///< the branches and tags that are at it, as of their last pull
  std::filesystem::path path;     ///< .../snapshots/<commit>
  std::vector<StoredFile> files;  ///< by name
  std::uint64_t bytes = 0;        ///< of its blobs, each once
};

/// Where the weights that a reference means are.
struct Located {
  std::string repo;
  std::string commit;          ///< empty when no snapshot is here
  std::filesystem::path path;  ///< a Hugging Face folder, or a .gguf (the first of a split one)
  std::uint64_t bytes = 0;     ///< of what would be loaded
  bool available = false;      ///< all of it is here
  std::string missing;         ///< what is not: "no snapshot", "model-00002-of-00002.safetensors"; names no path
};

/// What removing a snapshot would free.
struct Removal {
  std::string repo;
  std::vector<std::string> commits;
  std::uint64_t bytes = 0;                   ///< on disk
  std::vector<std::filesystem::path> paths;  ///< files, links and folders, in the order in which they go
  std::vector<std::string> blobs;            ///< names of the blobs among them, to be locked while they go
};

class Store {
 public:
  /// `root`: HF_HUB_CACHE (environment.h).
  explicit Store(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  /// Every snapshot of every model, by repository and commit. Datasets and spaces are none.
  std::vector<Snapshot> snapshots() const;
  /// The snapshot that a reference's revision means: its ref, its commit or an unambiguous beginning of 7 digits or
  /// more of one.
  std::optional<Snapshot> find(const Reference& reference) const;
  /// The weights to load. Never throws for what is not there; says so in `missing`.
  Located locate(const Reference& reference) const;

  /// The snapshot and the blobs that no other snapshot of the repository links, with what a cut pull left of them; with
  /// the last snapshot the repository's folder. Nothing when it is not here.
  std::optional<Removal> plan_removal(const Reference& reference) const;
  /// Errors: model_unavailable when something cannot be removed or is being pulled at the moment.
  void remove(const Removal& removal) const;

 private:
  std::filesystem::path root_;
};

}  // namespace glia::hub
