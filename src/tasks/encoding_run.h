// One request to an encoder from queue to durable charge.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tasks/encoding_input.h"
#include "tasks/local_run.h"
#include "tasks/work_queue.h"

namespace glia::tasks {

class EncodingRun final : public LocalRun, public engine::EncodeSink {
 public:
  /// `work` makes the answer of what the engine gives; it must outlive the run.
  EncodingRun(Job job, EncodingInput input, WorkQueue& work, Meter& meter, const Clock& clock,
              std::shared_ptr<RunSink> sink, std::function<void()> on_end);

  ModelKind kind() const override { return ModelKind::encoder; }

  void done(engine::EncodeResult result) override;
  void failed(const Error& error) override { fail(error); }

 private:
  void prepare_or_throw(const LoadedModel& model) override;
  /// What the weights cannot answer. Errors: model_unavailable.
  void check_weights() const;
  void tokenise();
  /// Gives the engine the next texts: all, or of states as many as may be in memory at once.
  void submit();
  /// On a work thread: what became of them.
  void take(const engine::EncodeResult& result);
  /// Of states, those of the text itself.
  std::span<const float> own_rows(std::span<const float> rows, std::size_t width) const;
  void take_query(std::span<const float> rows, std::size_t width);
  void finish();

  EncodingInput input_;
  WorkQueue& work_;
  std::shared_ptr<engine::TextEncoder> model_;
  /// How scores come about: a classifier's own, or by the states or vectors of query and context (late_interaction.h).
  engine::EncodeOutput output_ = engine::EncodeOutput::embedding;
  std::vector<engine::EncodeText> texts_;  ///< of scores without a classifier the query first
  std::size_t next_ = 0;                   ///< of texts_, to give to the engine
  bool bracketed_ = false;                 ///< the first and the last row of states are of special tokens
  std::vector<bool> counts_;               ///< [tokens of the query], for late interaction
  bool has_query_ = false;
  std::vector<float> query_;  ///< its vector, or the states that count
  EncodingResult result_;
  std::vector<double> scores_;
};

}  // namespace glia::tasks
