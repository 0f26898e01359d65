// Bytes that many hold together, counted: bodies that came in, answers that wait for their clients.
// Ownership: shares outlive the server, with the requests that hold them. Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace glia::http {

using ByteCount = std::atomic<std::size_t>;

/// A part of the count that is given back when it dies.
class ByteShare {
 public:
  explicit ByteShare(std::shared_ptr<ByteCount> count) : count_(std::move(count)) {}
  ByteShare(const ByteShare&) = delete;
  ByteShare& operator=(const ByteShare&) = delete;
  ~ByteShare() { set(0); }

  /// The count afterwards.
  std::size_t set(std::size_t bytes) {
    const std::size_t before = std::exchange(bytes_, bytes);
    return bytes >= before ? count_->fetch_add(bytes - before) + (bytes - before)
                           : count_->fetch_sub(before - bytes) - (before - bytes);
  }

 private:
  std::shared_ptr<ByteCount> count_;
  std::size_t bytes_ = 0;
};

}  // namespace glia::http
