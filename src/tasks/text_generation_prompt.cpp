#include "tasks/text_generation_prompt.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace glia::tasks {
namespace {

/// No vocabulary has a longer token, so a text of more bytes than this times the window is refused unread.
constexpr std::size_t kLongestToken = 512;

[[noreturn]] void too_long(const std::string& what, std::int64_t window) {
  throw Error(ErrorCode::context_too_long, what + ", the context window holds " + std::to_string(window));
}

std::string rendered(const TextGenerationInput& input, const engine::ChatModel& model, std::int64_t now_unix_s) {
  const auto* const chat = model.chat_template();
  if (chat == nullptr) {
    throw Error(ErrorCode::invalid_input, "the weights that answer here (" + model.name() +
                                              ") carry no chat template; use prompt with raw: true");
  }
  const std::string messages = json::serialize(input.messages);
  text::ChatTemplateInput in;
  in.messages_json = messages;
  in.now_unix_s = now_unix_s;
  // Who writes <|im_end|> into a message means the ten characters; a raw prompt means the token.
  in.literal_for = &model.tokenizer();
  return chat->render(in);
}

}  // namespace

Prompt build_prompt(const TextGenerationInput& input, const engine::ChatModel& model, std::int32_t context_window,
                    std::int64_t now_unix_s) {
  const std::int64_t window = context_window > 0 ? std::min(context_window, model.context()) : model.context();
  const bool raw = !input.raw_prompt.empty();
  const std::string text = raw ? input.raw_prompt : rendered(input, model, now_unix_s);
  if (text.size() / kLongestToken > static_cast<std::size_t>(window)) {
    too_long("more than " + std::to_string(text.size() / kLongestToken) + " input tokens", window);
  }
  const auto& tokenizer = model.tokenizer();
  // A template writes the begin token itself, and so may a raw prompt.
  const auto& bos = tokenizer.bos_text();
  const bool has_bos = !bos.empty() && std::string_view(text).starts_with(bos);
  Prompt prompt;
  prompt.tokens = raw ? tokenizer.encode(text, !has_bos) : tokenizer.encode_prompt(text);
  if (prompt.tokens.empty()) throw Error(ErrorCode::invalid_input, "the prompt is empty");

  const auto tokens = static_cast<std::int64_t>(prompt.tokens.size());
  std::int64_t most = input.max_tokens;
  if (input.max_tokens_given) {
    if (most > window - tokens) {
      too_long(std::to_string(tokens) + " input tokens and max_tokens " + std::to_string(most), window);
    }
  } else if (most > window - tokens) {
    most = window - tokens;
    if (most < 1) too_long(std::to_string(tokens) + " input tokens", window);
    prompt.note = "max_tokens: lowered to " + std::to_string(most) + ", what the context window of " +
                  std::to_string(window) + " tokens leaves";
  }
  prompt.max_tokens = static_cast<std::int32_t>(most);
  return prompt;
}

}  // namespace glia::tasks
