// Sinks that stand between the Runner and a dialect and bring a fault about. They forward what they do not change.
// Thread rule: as RunSink; what a slow one holds back reaches the dialect on the pacer's thread, in order.
#pragma once

#include <functional>
#include <memory>

#include "api/rehearsal/faults.h"
#include "api/rehearsal/pacer.h"
#include "tasks/runner.h"

namespace glia::api {

/// A run under a fault, between the Runner's and the caller's.
struct FaultyRun {
  std::shared_ptr<tasks::RunSink> sink;  ///< for the Runner
  /// Around what the Runner returned: a cancel lets go what is held back.
  std::function<std::shared_ptr<tasks::Run>(std::shared_ptr<tasks::Run>)> wrap;
};

/// Answers late: the first piece `first_token_ms` after now, each other `between_tokens_ms` after the one before.
FaultyRun slow_run(const Fault& fault, std::shared_ptr<Pacer> pacer, std::shared_ptr<tasks::RunSink> sink);

/// Of a task that `generates` text it ends at once, as if the model's first token had been its last: no text, one token
/// of the answer; the inputs are changed so that no more is computed. Of others nothing is in the answer.
FaultyRun empty_run(bool generates, json::object& inputs, std::shared_ptr<tasks::RunSink> sink);

}  // namespace glia::api
