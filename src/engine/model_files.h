// Which files a model consists of, and which version of them is on disk.
// Errors: none thrown; nothing where the file system does not answer. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "engine/loader.h"

namespace glia::engine {

/// Every regular file of a folder, or all parts of a GGUF that are there, sorted.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& model, std::error_code& failed);

/// Nothing when there is no such file or folder.
std::optional<FileStamp> stamp_of(const std::filesystem::path& model);

/// A digest over names, inodes, sizes and times of modification and of change, to the nanosecond: it differs also for a
/// file that was written to and set back in time. Nothing when a file cannot be looked at.
std::optional<std::uint64_t> files_digest(const std::filesystem::path& model);

}  // namespace glia::engine
