// Chat templates as published (Jinja), rendered by minijinja with what transformers adds: tojson as Python's
// json.dumps, strftime_now, raise_exception, key order kept, loop controls, Python string methods, trim_blocks and
// lstrip_blocks.
// Errors: the constructor throws glia::Error(model_unavailable) for a template that does not parse; render throws
// glia::Error(invalid_input) with the template's own raise_exception text, or when its step or output budget is spent.
// Thread rule: const access from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace glia::formats {
class GgufFile;
}

namespace glia::text {

class Tokenizer;

struct ChatTemplateInput {
  std::string_view messages_json;    ///< array of {role, content, …}, passed to the template as it is
  std::string_view tools_json = {};  ///< array, or empty: the template sees `tools` undefined/none
  bool add_generation_prompt = true;
  std::int64_t now_unix_s = 0;       ///< for strftime_now
  std::string_view extra_json = {};  ///< object of further variables, or empty
  /// If set: a special token of this tokenizer that a message or a tool spells (`<|im_end|>` in a question) stays text.
  /// The prompt then has marks (kLiteralMark) and is for Tokenizer::encode_prompt. Else as transformers: it becomes the
  /// token.
  const Tokenizer* literal_for = nullptr;
};

class ChatTemplate {
 public:
  /// `tool_use_source`, unless empty, is rendered instead where there are tools (some families publish two).
  ChatTemplate(std::string_view source, std::string_view bos_token, std::string_view eos_token,
               std::string_view tool_use_source = {});
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  std::string render(const ChatTemplateInput& input) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The template that a GGUF file carries (tokenizer.chat_template), if it carries one.
std::optional<std::string> chat_template_of(const formats::GgufFile& file);
/// The template in a tokenizer_config.json; of several, the one named "default". A chat_template.jinja beside it, where
/// a model has one, comes first and is the template as it is. Errors: glia::Error(invalid_input) for bad JSON.
std::optional<std::string> chat_template_of(std::string_view tokenizer_config_json);
/// The template for tools where a model publishes one by the name "tool_use" beside its default.
std::optional<std::string> tool_use_template_of(const formats::GgufFile& file);
std::optional<std::string> tool_use_template_of(std::string_view tokenizer_config_json);

}  // namespace glia::text
