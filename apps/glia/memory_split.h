// The memory that this program may take: --memory-mib, cut into what the engine has for models, what requests have on
// their way, and what is left for the program itself; and beside it --vector-memory-mib, of the vector indexes.
// Errors: UsageError for less than nothing can run in. Thread rule: values.
#pragma once

#include <cstddef>

#include "settings.h"

namespace glia::cli {

struct MemorySplit {
  std::size_t total = 0;
  std::size_t models = 0;    ///< engine::EngineOptions::memory_budget
  std::size_t vectors = 0;   ///< vectorize::Options::memory_bytes; not in `total`
  std::size_t requests = 0;  ///< bodies, parsed inputs and answers that wait for their client, together
};

/// The program: code and data (10 MiB measured), stacks, the ledger's cache, the catalogue, and holes in the heap.
inline constexpr std::size_t kProgramBytes = std::size_t{64} << 20;

MemorySplit split_memory(const Settings& settings);

}  // namespace glia::cli
