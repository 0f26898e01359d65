// Packed weights on disk: what a load had to pack, a later one maps. A file per model and device in one folder,
// <digest of its path>-<device>.packed (packed_file.h).
//
// A file is used only where its identity is the same: the model's files (names, inodes, sizes, times), the device, and
// this very program, by a sum over the executable: whatever packs otherwise or asks for other matrices is another
// program. Each matrix is summed before it is used; a file that fails is removed, and its matrices are packed. Mapped
// weights are charged to the memory budget as packed ones are.
// Errors: none: whatever goes wrong, weights are packed; what went wrong with writing is a warning in the log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "engine/packed_file.h"
#include "engine/packed_writer.h"
#include "kernels/packed_store.h"

namespace glia::engine {

/// The matrices of one load. Thread rule: one thread.
class PackedLoad final : public kernels::PackedStore {
 public:
  /// `identity`: of what is loaded; `files`: its part that is the model's files.
  PackedLoad(const PackedCacheOptions& options, std::filesystem::path model, std::filesystem::path file,
             std::uint64_t identity, std::uint64_t files);

  std::shared_ptr<const std::uint8_t> find(std::uint64_t key, std::size_t bytes, ThreadPool& pool) override;
  void keep(std::uint64_t key, std::span<const std::uint8_t> packed) override;

  /// After the load, once: begins to write all matrices down if one was packed. The packed ones must live as long as
  /// what it returns, which may be null.
  std::unique_ptr<PackedWriter> keep_packed();

 private:
  void map();
  void drop();

  PackedWriter::Job job_;
  bool packed_ = false;
  std::shared_ptr<const MappedFile> mapped_;
  std::vector<PackedEntry> entries_;
  std::size_t next_ = 0;
};

/// Thread rule: any thread.
class PackedCache {
 public:
  /// `device`: whatever of device and options packing may depend on.
  PackedCache(PackedCacheOptions options, std::string device);
  /// For one load of `model`; null where nothing is kept.
  std::unique_ptr<PackedLoad> open(const std::filesystem::path& model) const;

 private:
  const PackedCacheOptions options_;
  const std::string device_;
};

/// Removes what is kept of models, whatever the device, before they are removed themselves: links among their paths are
/// still followed. Returns the bytes on disk.
std::uint64_t remove_packed(const std::filesystem::path& folder, std::span<const std::filesystem::path> models,
                            bool only_count);

}  // namespace glia::engine
