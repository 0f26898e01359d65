// One acknowledged change of an index, as the log has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vectorize/types.h"

namespace glia::vectorize {

enum class MutationKind : std::uint8_t { insert = 0, upsert = 1, remove = 2, add_property = 3, remove_property = 4 };

struct Mutation {
  MutationKind kind = MutationKind::upsert;
  std::int64_t seq = 0;          ///< ascending over all indexes
  std::string id;                ///< what the client was told
  std::int64_t accepted_ms = 0;  ///< Unix time
  std::int64_t first_entry = 0;  ///< of its vectors; where it has none, the entry that the next vector will have
  std::int64_t entries = 0;      ///< vectors that it was written with
  std::vector<std::pair<std::int64_t, Vector>> vectors;  ///< with their entries: of insert and upsert
  std::vector<std::string> ids;                          ///< of remove
  MetadataIndex property;                                ///< of add_property and remove_property
};

}  // namespace glia::vectorize
