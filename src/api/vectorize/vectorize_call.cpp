#include "api/vectorize/vectorize_call.h"

#include "api/reply.h"
#include "api/run_request.h"

namespace glia::api {

void need_vectorize(const Context& context) {
  if (context.services.vectorize != nullptr) return;
  const auto& why = context.services.no_vectorize;
  throw Error(ErrorCode::not_served, why.empty() ? "Vectorize" : "Vectorize: " + why);
}

void run_on_index(const VectorizeCall& call, bool reads, std::function<void()> job) {
  const bool waits = reads && !call.vectorize().in_memory(call.account, call.index);
  run_on(waits ? call.context->loads : call.context->work, call.reply, std::move(job));
}

void note_vectors(const vectorize::ParsedVectors& parsed, std::vector<std::string>& notes) {
  if (parsed.discarded > 0) notes.push_back("lines discarded: " + std::to_string(parsed.discarded));
  for (const auto& field : parsed.unknown_fields) notes.push_back("unknown field ignored: " + printable(field, 60));
}

void note_unindexed(const std::vector<std::string>& properties, std::vector<std::string>& notes) {
  for (const auto& property : properties) {
    notes.push_back("no metadata index on " + printable(property, 60) + ": no vector has it");
  }
}

}  // namespace glia::api
