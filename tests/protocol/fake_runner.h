// A Runner without an engine: checks inputs against the catalogue as the real one does, then answers from the words of
// the last message or the prompt, on a thread of its own. Tokens are words.
//
//   echo a b c    streams "a", " b", " c"
//   fail NAME     throws the error of that name      late NAME   failed() before the first piece
//   break NAME    two pieces, then failed()          hang        a piece, then nothing until cancelled
//   busy          throws out_of_capacity where the request would rather not wait, else answers "ok"
//   anything else answers "ok"
//
// Of embeddings, reranking and classification it answers what encode() in the .cpp says; `fail NAME` as the first text
// throws.
//
// Of what a session that will be back (x-session-affinity) asked, the words are cached for its account: a prompt that
// begins as one of them did has those words as cached tokens, but for its last.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "catalog/catalog.h"
#include "tasks/runner.h"

namespace glia::protocol {

class FakeRunner final : public tasks::Runner {
 public:
  explicit FakeRunner(const catalog::Catalog& catalog) : catalog_(catalog) {}
  ~FakeRunner() override;

  std::shared_ptr<tasks::Run> run(tasks::RunRequest request, std::shared_ptr<tasks::RunSink> sink) override;

  int cancelled() const { return cancelled_; }

 private:
  using Words = std::vector<std::string>;

  /// Of `words`, those that are cached for `account`; afterwards all of them are.
  std::int64_t take_cached(const std::string& account, const Words& words);

  const catalog::Catalog& catalog_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::map<std::string, std::vector<Words>> cached_;  // [account]
  std::atomic<int> cancelled_{0};
};

}  // namespace glia::protocol
