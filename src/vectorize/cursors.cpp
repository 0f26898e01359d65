#include "vectorize/cursors.h"

#include <algorithm>
#include <charconv>

#include "vectorize/random_id.h"

namespace glia::vectorize {

VectorPage Cursors::page(const List& list, std::size_t from, std::size_t count) {
  VectorPage page;
  page.total = static_cast<std::int64_t>(list.ids.size());
  const std::size_t end = std::min(list.ids.size(), from + count);
  page.ids.assign(list.ids.begin() + static_cast<std::ptrdiff_t>(from),
                  list.ids.begin() + static_cast<std::ptrdiff_t>(end));
  if (end == list.ids.size()) return page;
  page.next_cursor = list.key + "-" + std::to_string(end);
  page.expires_ms = list.expires_ms;
  return page;
}

void Cursors::forget(std::int64_t now_ms) {
  while (!lists_.empty() && (lists_.front()->expires_ms <= now_ms || bytes_ > kMostBytes)) {
    bytes_ -= lists_.front()->bytes;
    lists_.pop_front();
  }
}

VectorPage Cursors::first(std::int64_t index, std::vector<std::string> ids, std::size_t count, std::int64_t now_ms) {
  auto list = std::make_shared<List>(List{index, random_uuid(), std::move(ids), now_ms + kLifeMs, 0});
  VectorPage first_page = page(*list, 0, count);
  if (first_page.next_cursor.empty()) return first_page;
  for (const auto& id : list->ids) list->bytes += sizeof(std::string) + (id.size() > 15 ? id.size() : 0);
  const std::lock_guard lock(mutex_);
  bytes_ += list->bytes;
  lists_.push_back(std::move(list));
  forget(now_ms);
  return first_page;
}

std::optional<VectorPage> Cursors::next(std::int64_t index, std::string_view cursor, std::size_t count,
                                        std::int64_t now_ms) {
  const auto dash = cursor.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::size_t from = 0;
  const char* const end = cursor.data() + cursor.size();
  if (const auto read = std::from_chars(cursor.data() + dash + 1, end, from);
      read.ec != std::errc() || read.ptr != end) {
    return std::nullopt;
  }
  std::shared_ptr<const List> found;
  {
    const std::lock_guard lock(mutex_);
    forget(now_ms);
    for (const auto& list : lists_) {
      if (list->index == index && list->key == cursor.substr(0, dash)) found = list;
    }
  }
  if (found == nullptr || from >= found->ids.size()) return std::nullopt;
  return page(*found, from, count);
}

}  // namespace glia::vectorize
