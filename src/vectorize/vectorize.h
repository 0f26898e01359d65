// Vectorize: named indexes of vectors by account, durable, searched by nearness.
//
// A mutation (insert, upsert, remove, a metadata index made or removed) is answered when it is on the disk, and is seen
// by queries `delay_ms` later, in the order of the answers; with a delay of 0 before it is answered. What was answered
// survives the end of the process at any moment. A metadata index covers the vectors that were written after it.
// Names are the account's own: what one account does no other sees. An index is read into memory when it is used, and
// leaves it when nobody has used it for the keep-alive or another one needs the room.
// Errors: glia::Error with the service's codes and words; glia::Error(internal) where the disk fails;
// glia::Error(out_of_capacity) where an index does not fit into the memory that there is for all.
// Thread rule: every method from any thread. `Answered` comes from the writer's thread and must not block. Methods
// other than write(), remove() and those of metadata indexes may wait for the disk.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "vectorize/figures.h"
#include "vectorize/filter.h"
#include "vectorize/limits.h"
#include "vectorize/types.h"

namespace glia::vectorize {

/// An account whose name begins with it lasts as long as the process: its indexes are gone at the next start.
inline constexpr char kPassing = '\x01';

struct Options {
  std::filesystem::path folder;  ///< made when it is missing; empty: in memory
  std::int64_t delay_ms = 0;
  Limits limits;
  int threads = 0;                  ///< that build graphs in the background; 0: every core
  std::size_t memory_bytes = 0;     ///< of all indexes in memory together; 0: no limit
  std::int64_t keep_alive_ms = -1;  ///< an index that nobody used for so long leaves memory; -1: never
};

struct Query {
  std::vector<float> vector;             ///< of the index's dimensions
  std::optional<std::string> vector_id;  ///< instead: the vector of this id
  std::size_t top_k = 5;
  std::optional<std::string> ns;
  std::optional<Filter> filter;
  bool values = false;
  MetadataLevel metadata = MetadataLevel::none;
};

struct QueryResult {
  std::vector<Match> matches;          ///< best first
  std::vector<std::string> unindexed;  ///< properties of the filter that have no metadata index: nobody has them
};

/// Null and the mutation's id, or why nothing was written.
using Answered = std::function<void(const Error* error, const std::string& mutation)>;

class Vectorize {
 public:
  static std::unique_ptr<Vectorize> open(const Options& options, const Clock& clock);
  virtual ~Vectorize() = default;

  virtual const Limits& limits() const = 0;

  virtual IndexEntry create(const std::string& account, const std::string& name,
                            const std::optional<std::string>& description, const IndexConfig& config) = 0;
  virtual IndexEntry get(const std::string& account, const std::string& name) = 0;
  virtual std::vector<IndexEntry> list(const std::string& account) = 0;
  virtual void drop(const std::string& account, const std::string& name) = 0;
  /// Every index of the account.
  virtual void drop_account(const std::string& account) = 0;

  /// Vectors: of the index's dimensions, within the limits (vector_text.h).
  virtual void write(const std::string& account, const std::string& name, WriteKind kind, std::vector<Vector> vectors,
                     Answered answered) = 0;
  virtual void remove(const std::string& account, const std::string& name, std::vector<std::string> ids,
                      Answered answered) = 0;
  virtual void add_metadata_index(const std::string& account, const std::string& name, const MetadataIndex& index,
                                  Answered answered) = 0;
  virtual void remove_metadata_index(const std::string& account, const std::string& name, const std::string& property,
                                     Answered answered) = 0;
  virtual std::vector<MetadataIndex> metadata_indexes(const std::string& account, const std::string& name) = 0;

  virtual IndexInfo info(const std::string& account, const std::string& name) = 0;
  virtual QueryResult query(const std::string& account, const std::string& name, const Query& query) = 0;
  /// Those that there are, in the order of `ids`, each once.
  virtual std::vector<Vector> get_by_ids(const std::string& account, const std::string& name,
                                         const std::vector<std::string>& ids) = 0;
  /// A page of the ids as they were when the first page was asked for (no cursor).
  virtual VectorPage list_vectors(const std::string& account, const std::string& name, std::size_t count,
                                  const std::string& cursor) = 0;

  /// Whether a call would find the index in memory; else it waits until it is read. False for one that is unknown.
  virtual bool in_memory(const std::string& account, const std::string& name) = 0;
  virtual Figures figures() = 0;

  /// Until every answered mutation is seen, and every vector that is to be in a graph is.
  virtual void wait_until_quiet() = 0;
};

}  // namespace glia::vectorize
