// The workers of a pull: they fill the cache with the blobs of some files.
// Thread rule, errors: as pull.h. Internal to the room.
#pragma once

#include <vector>

#include "hub/layout.h"
#include "hub/listing.h"
#include "hub/pull.h"

namespace glia::hub {

/// Returns when every file has its blob and its link. `here`: bytes of the plan that are on disk already.
void fetch_files(const Layout& layout, const std::string& commit, const std::vector<RemoteFile>& files,
                 std::uint64_t here, const PullOptions& options, PullWatcher& watcher);

/// Makes the file's link to its blob, in place of what is there. Errors: model_unavailable.
void link_file(const Layout& layout, const std::string& commit, const RemoteFile& file);

/// Whether the whole file is there: its blob, or itself on a file system without links.
bool has_file(const Layout& layout, const std::string& commit, const RemoteFile& file);
/// Whether the whole blob is there.
bool has_blob(const Layout& layout, const RemoteFile& file);

}  // namespace glia::hub
