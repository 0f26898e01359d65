// One text generation from queue to durable charge.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tasks/local_run.h"
#include "tasks/text_generation_input.h"

namespace glia::tasks {

class TextGenerationRun final : public LocalRun, public engine::GenerationSink {
 public:
  TextGenerationRun(Job job, TextGenerationInput input, engine::PrefixCache prefix_cache, Meter& meter,
                    const Clock& clock, std::shared_ptr<RunSink> sink, std::function<void()> on_end);

  ModelKind kind() const override { return ModelKind::chat; }

  void text(std::string_view piece, std::span<const std::int32_t> tokens) override;
  void done(const engine::GenerateResult& result) override;
  void failed(const Error& error) override;

 private:
  void prepare_or_throw(const LoadedModel& model) override;
  /// Charges what was used, then tells the sink: `error` where the engine failed, else the result.
  void settle_text(TextResult result, bool cancelled, std::optional<Error> error);

  TextGenerationInput input_;
  const engine::PrefixCache prefix_cache_;
  std::int64_t generate_ns_ = 0;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t sampled_tokens_ = 0;
  std::string answer_;
};

}  // namespace glia::tasks
