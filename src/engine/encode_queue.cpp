#include "engine/encode_queue.h"

#include <algorithm>
#include <cassert>

namespace glia::engine {

void EncodeQueue::submit(Job job, std::string_view account, std::span<const std::int32_t> lengths) {
  assert(!lengths.empty());
  auto at = std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& a) { return a.name == account; });
  if (at == accounts_.end()) {
    at = accounts_.insert(accounts_.end(), Account{});
    at->name = account;
  }
  if (at->requests.empty()) at->given = std::max(at->given, now_);
  at->requests.push_back({job, at->now, {lengths.begin(), lengths.end()}, 0});
  waiting_ += static_cast<std::int64_t>(lengths.size());
}

void EncodeQueue::remove(Job job) {
  for (Account& account : accounts_) {
    for (auto at = account.requests.begin(); at != account.requests.end(); ++at) {
      if (at->job != job) continue;
      waiting_ -= static_cast<std::int64_t>(at->lengths.size() - at->next);
      account.requests.erase(at);
      return drop_idle();
    }
  }
}

EncodeQueue::Account* EncodeQueue::next_account() {
  Account* best = nullptr;
  for (Account& account : accounts_) {
    if (!account.requests.empty() && (best == nullptr || account.given < best->given)) best = &account;
  }
  return best;
}

EncodeQueue::Request& EncodeQueue::next_request(Account& account) {
  return *std::min_element(account.requests.begin(), account.requests.end(),
                           [](const Request& a, const Request& b) { return a.given < b.given; });
}

std::span<const EncodeQueue::Item> EncodeQueue::plan(std::int32_t rows) {
  plan_.clear();
  std::int64_t left = rows;
  while (Account* account = next_account()) {
    Request& request = next_request(*account);
    const std::int32_t tokens = request.lengths[request.next];
    if (!plan_.empty() && tokens > left) break;
    plan_.push_back({request.job, static_cast<std::int32_t>(request.next), tokens});
    left -= tokens;
    now_ = account->given;
    account->now = request.given;
    account->given += static_cast<std::uint64_t>(tokens);
    request.given += static_cast<std::uint64_t>(tokens);
    --waiting_;
    if (++request.next == request.lengths.size()) {
      account->requests.remove_if([&](const Request& r) { return r.job == request.job; });
    }
  }
  drop_idle();
  std::stable_sort(plan_.begin(), plan_.end(), [](const Item& a, const Item& b) { return a.tokens > b.tokens; });
  return plan_;
}

void EncodeQueue::drop_idle() {
  const bool all_idle = waiting_ == 0;
  accounts_.remove_if([&](const Account& a) { return a.requests.empty() && (all_idle || a.given <= now_); });
}

}  // namespace glia::engine
