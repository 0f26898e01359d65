// Where packed weights outlive the process that packed them. A device asks its store for every matrix before it packs
// one, in the order of loading, and tells it of those that it packed; the store decides what "the same" means and where
// the bytes lie.
// Errors: none: what cannot be found is packed. Thread rule: the thread that loads, one load at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/thread_pool.h"

namespace glia::kernels {

class PackedStore {
 public:
  virtual ~PackedStore() = default;
  /// The bytes kept for the matrix that is loaded next; null when there are none or they are damaged. `key`: a digest
  /// of its types and shapes; `bytes`: what it takes, in whole pages. The memory is aligned to a page and stays as it
  /// is as long as it is held. `pool`: free for the call.
  virtual std::shared_ptr<const std::uint8_t> find(std::uint64_t key, std::size_t bytes, ThreadPool& pool) = 0;
  /// What was packed in its place; the memory lives as long as the matrix and never changes.
  virtual void keep(std::uint64_t key, std::span<const std::uint8_t> packed) = 0;
};

}  // namespace glia::kernels
