// Lists of ids that are being paged through: each as it was when its first page was asked for.
// A list goes when its time is over or when lists together hold too much, the oldest first. Thread rule: any.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vectorize/types.h"

namespace glia::vectorize {

class Cursors {
 public:
  static constexpr std::int64_t kLifeMs = 10 * 60 * 1000;
  static constexpr std::size_t kMostBytes = std::size_t{256} << 20;

  /// The first page of `ids`, which are of the index of that number.
  VectorPage first(std::int64_t index, std::vector<std::string> ids, std::size_t count, std::int64_t now_ms);
  /// The page that the cursor stands for. Nothing: there is no such list of this index any more.
  std::optional<VectorPage> next(std::int64_t index, std::string_view cursor, std::size_t count, std::int64_t now_ms);

 private:
  struct List {
    std::int64_t index;
    std::string key;
    std::vector<std::string> ids;
    std::int64_t expires_ms;
    std::size_t bytes;
  };

  static VectorPage page(const List& list, std::size_t from, std::size_t count);
  void forget(std::int64_t now_ms);

  std::mutex mutex_;
  std::deque<std::shared_ptr<const List>> lists_;  ///< oldest first
  std::size_t bytes_ = 0;
};

}  // namespace glia::vectorize
