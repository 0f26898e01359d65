// A Runner without an engine: checks inputs against the catalogue as the real one does, then answers from the words of
// the last message or the prompt, on a thread of its own. Tokens are words.
//
//   echo a b c    streams "a", " b", " c"
//   fail NAME     throws the error of that name      late NAME   failed() before the first piece
//   break NAME    two pieces, then failed()          hang        a piece, then nothing until cancelled
//   busy          throws out_of_capacity where the request would rather not wait, else answers "ok"
//   anything else answers "ok"
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
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
  const catalog::Catalog& catalog_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::atomic<int> cancelled_{0};
};

}  // namespace glia::protocol
