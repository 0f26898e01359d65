// An index's graph in a file of its own, so that it need not be built anew. The file is not the truth: one that is
// missing, torn or of another state of the index costs time, never vectors.
// Thread rule: as the State that is given; reading its links must not meet a graph insert.
#pragma once

#include <filesystem>

#include "vectorize/state.h"

namespace glia::vectorize {

/// The graph of slots below state.graphed(), for write_graph(); empty where there is none.
std::vector<std::byte> graph_bytes(const State& state);
/// Writes beside the file and renames over it. False where that cannot be.
bool write_graph(const std::filesystem::path& file, std::span<const std::byte> bytes);

/// Gives the state the graph of the file, of the slots that are left of it, linked anew where too many of theirs are
/// gone. False where the file is of no use. Slots that came later follow by themselves (maintenance.h).
bool load_graph(const std::filesystem::path& file, State& state);

/// A graph of another numbering: slot i of `words` (Graph::save) is to[i] now; kNoSlot: it is gone. Null where the
/// words are no graph. For slots below `size`.
std::unique_ptr<Graph> renumbered(std::span<const std::uint32_t> words, std::span<const Slot> to, const Slots& slots,
                                  Slot size);

}  // namespace glia::vectorize
