// Brings a repository's weights into the shared cache: the one place that fetches.
//
// Files and parts of files come over several connections at once; each blob is held against its digest and then appears
// under its name whole, its link in the snapshot after it, the branch's new commit after all. Whatever ends a pull, a
// kill too, the next one goes on with what is there. Two pulls of one model share the work (layout.h's locks).
// Thread rule: blocks its thread, works on others; the watcher is called from those, one call at a time.
// Errors: glia::Error: as Remote's (remote.h) and Store's; model_unavailable when nothing fits the reference, the disk
// is too small or full, or a file's digest is wrong twice; aborted when cancelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "hub/environment.h"
#include "hub/reference.h"

namespace glia::hub {

struct PullPlan {
  std::string commit;
  std::size_t files = 0;
  std::uint64_t bytes = 0;  ///< of all files
  std::uint64_t here = 0;   ///< of them on disk already
};

class PullWatcher {
 public:
  virtual ~PullWatcher() = default;
  virtual void planned(const PullPlan&) {}
  /// Bytes of the plan on disk; goes back when a file has to be fetched anew.
  virtual void moved(std::uint64_t) {}
  virtual void finished(const std::string& /*file*/, std::uint64_t /*bytes*/) {}
  /// Why nothing moves, or what went wrong and is tried again: a sentence.
  virtual void said(const std::string&) {}
};

struct PullOptions {
  Environment environment;
  int connections = 8;
  std::uint64_t part_bytes = std::uint64_t{16} << 20;
  std::string user_agent = "glia";
  std::string ca_file = {};  ///< as http::FetchOptions
  int backoff_ms = 1000;     ///< as RemoteOptions
  int stall_timeout_s = 30;
  const std::atomic<bool>* cancelled = nullptr;
};

struct Pulled {
  std::string commit;
  std::filesystem::path path;  ///< what to load: a folder or a .gguf
  std::uint64_t bytes = 0;     ///< of all its files
};

/// Offline (HF_HUB_OFFLINE): what is here, or an error; no connection is opened.
Pulled pull(const Reference& reference, const PullOptions& options, PullWatcher& watcher);

}  // namespace glia::hub
