// Writes one model's packed weights to disk, on a thread of its own with a low priority, while the model is at
// work. The file appears whole, by its name, or not at all: it is not waited for to reach the disk, since a file that a
// power cut tore fails its sums.
// Ownership: borrows the matrices. The destructor waits a moment for what is nearly done, then gives up; both leave
// nothing half behind. Errors: a warning in the log. Thread rule: one owner.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "engine/packed_file.h"

namespace glia::engine {

struct PackedCacheOptions {
  std::filesystem::path folder = {};  ///< readable by its owner only; empty: nothing is kept
  /// Of all files together: the least recently used go when another comes. One is written only where it leaves at least
  /// as much again free on the disk.
  std::uint64_t most_bytes = std::uint64_t{16} << 30;
  std::uint64_t least_bytes = std::uint64_t{32} << 20;  ///< packing less takes no time worth the disk
};

class PackedWriter {
 public:
  struct Piece {
    std::uint64_t key = 0;
    std::span<const std::uint8_t> bytes;
    std::shared_ptr<const void> held = {};  ///< what the bytes lie in, where it is not the model's
  };
  struct Job {
    PackedCacheOptions options;
    std::filesystem::path model;  ///< what was packed
    std::filesystem::path file;   ///< where it goes, in the folder
    std::uint64_t identity = 0;
    std::uint64_t files = 0;  ///< files_digest() from before the load: nothing is kept of files that changed since
    std::vector<Piece> pieces;
  };

  explicit PackedWriter(Job job);
  ~PackedWriter();
  PackedWriter(const PackedWriter&) = delete;
  PackedWriter& operator=(const PackedWriter&) = delete;

  /// Until it is done, for tests.
  void wait();

 private:
  void run();

  const Job job_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::atomic<bool> stop_ = false;
  std::thread thread_;  // last: it uses the rest
};

/// Whether the folder is there, nobody else may write to it, and it lies on a disk of this machine: what another
/// machine removes or cuts while it is mapped here would end this process.
bool is_usable_folder(const std::filesystem::path& folder);

}  // namespace glia::engine
