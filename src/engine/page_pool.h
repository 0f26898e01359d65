// Which KV pages are free. Pages that were used before are handed out first, and of the untouched ones the lowest, so
// that memory which was never needed is never touched.
// Errors: taking from an empty pool, or giving back a page that is not out, is a programmer error (assert): the
// schedule reserves before anything is taken. Thread rule: one thread at a time.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace glia::engine {

class PagePool {
 public:
  explicit PagePool(std::int32_t pages) : out_(static_cast<std::size_t>(pages), false) {
    free_.reserve(out_.size());
    for (std::int32_t page = pages - 1; page >= 0; --page) free_.push_back(page);
  }

  std::int32_t take() {
    assert(!free_.empty());
    const std::int32_t page = free_.back();
    free_.pop_back();
    out_[static_cast<std::size_t>(page)] = true;
    return page;
  }

  void give_back(std::span<const std::int32_t> pages) {
    for (std::size_t i = pages.size(); i-- > 0;) {
      assert(out_[static_cast<std::size_t>(pages[i])]);
      out_[static_cast<std::size_t>(pages[i])] = false;
      free_.push_back(pages[i]);
    }
  }

  std::int32_t pages() const { return static_cast<std::int32_t>(out_.size()); }
  std::int32_t used() const { return static_cast<std::int32_t>(out_.size() - free_.size()); }

 private:
  std::vector<std::int32_t> free_;  // the next one is at the back
  std::vector<bool> out_;
};

}  // namespace glia::engine
