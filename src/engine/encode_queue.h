// Which texts an encoder reads next: the policy as a plain state machine without threads, clock or tensors.
//
// Accounts share the model by tokens, and so do the requests of one account: the next text is always of the account,
// and there of the request, that was given the fewest tokens so far. Whoever comes, or comes back, starts where the one
// whose turn it is stands, so that waiting earns nothing and a request of many texts never holds up a short one.
// Source: start-time fair queueing (Goyal, Vin and Cheng 1996), on two levels.
// Errors: none; misuse is a programmer error (assert). Thread rule: one thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace glia::engine {

class EncodeQueue {
 public:
  using Job = std::int32_t;  ///< the caller's number of a request

  struct Item {
    Job job = 0;
    std::int32_t text = 0;  ///< within the request, from 0; texts of a request come in order
    std::int32_t tokens = 0;
  };

  /// Queues a request of at least one text. lengths: tokens of each, at least 1.
  void submit(Job job, std::string_view account, std::span<const std::int32_t> lengths);
  /// Forgets what of a request was not planned yet.
  void remove(Job job);
  /// Takes out the next texts: of at most `rows` tokens together, or a longer one alone. Longest first, which changes
  /// no result but spreads better over threads. Empty only when nothing waits. Valid until the next call.
  std::span<const Item> plan(std::int32_t rows);
  bool empty() const { return waiting_ == 0; }

 private:
  struct Request {
    Job job = 0;
    std::uint64_t given = 0;  // tokens, from where it started
    std::vector<std::int32_t> lengths;
    std::size_t next = 0;
  };
  struct Account {
    std::string name;
    std::uint64_t given = 0;
    std::uint64_t now = 0;  // `given` of the request whose turn it was last
    std::list<Request> requests;
  };

  Account* next_account();
  static Request& next_request(Account& account);
  void drop_idle();

  std::list<Account> accounts_;  // those that wait, and those that were given more than `now_`
  std::uint64_t now_ = 0;        // `given` of the account whose turn it was last
  std::int64_t waiting_ = 0;     // texts
  std::vector<Item> plan_;
};

}  // namespace glia::engine
