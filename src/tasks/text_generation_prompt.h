// From typed input to token ids: the weights' own chat template, then their tokenizer, held against the context window.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "tasks/text_generation_input.h"

namespace glia::tasks {

struct Prompt {
  std::vector<std::int32_t> tokens;
  std::int32_t max_tokens = 0;  ///< for the answer; lowered to what fits where the client gave none
  std::string note;             ///< says so when it was lowered; else empty
};

/// `context_window`: the catalogue's, in tokens; 0: only the model's own counts.
/// Errors: context_too_long with the numbers; invalid_input when messages meet weights without a chat template, when
/// the template refuses them, or when nothing is left to encode.
Prompt build_prompt(const TextGenerationInput& input, const engine::ChatModel& model, std::int32_t context_window,
                    std::int64_t now_unix_s);

}  // namespace glia::tasks
