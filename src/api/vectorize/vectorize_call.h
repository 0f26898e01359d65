// What Vectorize's two dialects share.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/context.h"
#include "api/reply.h"
#include "http/server.h"
#include "vectorize/vector_text.h"
#include "vectorize/vectorize.h"

namespace glia::api {

/// The service refuses indexes below; here they are only noted.
inline constexpr int kServiceLeastDimensions = 32;

/// One call for an index, kept as long as it runs.
struct VectorizeCall {
  std::shared_ptr<Context> context;
  std::shared_ptr<Reply> reply;
  std::shared_ptr<http::Request> request;
  std::string account;
  std::string index;

  vectorize::Vectorize& vectorize() const { return *context->services.vectorize; }
  const vectorize::Limits& limits() const { return vectorize().limits(); }
};

/// Errors: glia::Error(not_served) where this server has no vector indexes, with why.
void need_vectorize(const Context& context);

/// Runs `job` on a worker thread, as run_on_worker(). One that `reads` an index which is not in memory yet waits with
/// the loads of models: seconds, perhaps, in which calls for other indexes go on.
void run_on_index(const VectorizeCall& call, bool reads, std::function<void()> job);

/// What was left out of an upload.
void note_vectors(const vectorize::ParsedVectors& parsed, std::vector<std::string>& notes);
void note_unindexed(const std::vector<std::string>& properties, std::vector<std::string>& notes);

}  // namespace glia::api
