// One run on its way from a dialect to the Runner and back: collected or streamed, told to the session,
// counted, logged, cancelled when the client leaves.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/rehearsal/faults.h"
#include "api/reply.h"
#include "tasks/runner.h"

namespace glia::api {

/// A dialect's shapes for text, and for what encoders make of texts. One object a call; called in the order of the run.
class TextFormat {
 public:
  virtual ~TextFormat() = default;
  /// The JSON body of a collected answer.
  virtual std::string whole(const tasks::RunInfo& info, const tasks::TextResult& result) = 0;
  /// The events of a stream: before the first piece, for a piece, and after the last (with "data: [DONE]").
  virtual std::string first(const tasks::RunInfo& /*info*/) { return {}; }
  virtual std::string piece(std::string_view text) = 0;
  virtual std::string last(const tasks::TextResult& result) = 0;
  /// The JSON body of vectors, scores or labels. A dialect's route that has no shape for them refuses ids of such tasks
  /// before they run (need_task).
  virtual std::string encoded(const tasks::RunInfo& /*info*/, const tasks::EncodingResult& /*result*/) {
    throw Error(ErrorCode::internal);
  }
};

struct TextCall {
  std::shared_ptr<const Session> session;  ///< null: nobody is told
  tasks::RunRequest request;
  bool stream = false;
  std::vector<std::string> notes;  ///< of the dialect; the Runner's are added
  std::unique_ptr<TextFormat> format;
  std::optional<Fault> fault;  ///< that the session asked for; set by start_text_call
};

/// Answers through `reply`, now or later. Thread rule: any thread.
void start_text_call(const std::shared_ptr<Context>& context, const std::shared_ptr<Reply>& reply, TextCall call);

/// `inputs.stream` as the Runner will read it; anything but a boolean is left for it to refuse.
bool wants_stream(const json::object& inputs);

/// {prompt_tokens, completion_tokens, total_tokens}
json::object usage_object(const tasks::TokenUsage& usage);

}  // namespace glia::api
