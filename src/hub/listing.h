// What the hub says a revision holds: the answer of /api/models/<repo>/revision/<revision>?blobs=true, checked whole.
// Thread rule: values. Errors: glia::Error(model_unavailable) for an answer that is not that, or whose names, sizes or
// digests could do harm. Source: huggingface_hub's ModelInfo and RepoSibling.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hub/digest.h"

namespace glia::hub {

struct RemoteFile {
  std::string name;  ///< is_safe_path()
  std::uint64_t bytes = 0;
  std::string blob;  ///< its digest, which names it in the cache: 64 digits for sha256, 40 for git_blob
  DigestKind kind = DigestKind::git_blob;
};

struct Listing {
  std::string commit;
  std::vector<RemoteFile> files;
};

Listing parse_listing(std::string_view text);

}  // namespace glia::hub
