#include "text/chat_template.h"

#include <utility>

#include "base/json.h"
#include "formats/gguf.h"
#include "text/rust.h"

namespace glia::text {

namespace {

rust::Owned<GliaTemplate> compiled(std::string_view source, std::string_view bos, std::string_view eos) {
  if (source.empty()) return nullptr;
  return rust::Owned<GliaTemplate>(
      rust::call<GliaTemplate*>(glia_template_new, rust::bytes(source), rust::bytes(bos), rust::bytes(eos)));
}

/// `chat_template` of a tokenizer_config.json: a text, which is the default, or several by name:
/// [{"name": "default", "template": …}, {"name": "tool_use", …}].
std::optional<std::string> named_template(std::string_view tokenizer_config_json, std::string_view name) {
  const json::value config = parse_json(tokenizer_config_json);
  const json::object* object = config.if_object();
  const json::value* source = object == nullptr ? nullptr : object->if_contains("chat_template");
  if (source == nullptr) return std::nullopt;
  if (const json::string* text = source->if_string()) {
    return name == "default" ? std::optional(std::string(*text)) : std::nullopt;
  }
  const json::array* list = source->if_array();
  if (list == nullptr) return std::nullopt;
  for (const json::value& entry : *list) {
    const json::object* named = entry.if_object();
    if (named == nullptr) continue;
    const json::value* key = named->if_contains("name");
    const json::value* text = named->if_contains("template");
    if (key != nullptr && text != nullptr && key->is_string() && text->is_string() && key->as_string() == name) {
      return std::string(text->as_string());
    }
  }
  return std::nullopt;
}

std::optional<std::string> text_of(const formats::GgufFile& file, std::string_view key) {
  const auto source = file.find_string(key);
  if (!source || source->empty()) return std::nullopt;
  return std::string(*source);
}

}  // namespace

struct ChatTemplate::Impl {
  rust::Owned<GliaTemplate> handle;
  rust::Owned<GliaTemplate> tool_use;  // null when the family has one template for all
};

ChatTemplate::ChatTemplate(std::string_view source, std::string_view bos_token, std::string_view eos_token,
                           std::string_view tool_use_source)
    : impl_(std::make_unique<Impl>(
          Impl{rust::Owned<GliaTemplate>(rust::call<GliaTemplate*>(glia_template_new, rust::bytes(source),
                                                                   rust::bytes(bos_token), rust::bytes(eos_token))),
               compiled(tool_use_source, bos_token, eos_token)})) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const ChatTemplateInput& input) const {
  const bool with_tools = impl_->tool_use != nullptr && !input.tools_json.empty();
  const GliaTemplate* chat = with_tools ? impl_->tool_use.get() : impl_->handle.get();
  const GliaTokenizer* literal = input.literal_for == nullptr ? nullptr : rust_handle(*input.literal_for);
  return rust::take(rust::call<GliaText>(glia_template_render, chat, rust::bytes(input.messages_json),
                                         rust::bytes(input.tools_json), rust::bytes(input.extra_json),
                                         std::int32_t{input.add_generation_prompt}, input.now_unix_s, literal));
}

std::optional<std::string> chat_template_of(const formats::GgufFile& file) {
  return text_of(file, "tokenizer.chat_template");
}

std::optional<std::string> chat_template_of(std::string_view tokenizer_config_json) {
  return named_template(tokenizer_config_json, "default");
}

std::optional<std::string> tool_use_template_of(const formats::GgufFile& file) {
  return text_of(file, "tokenizer.chat_template.tool_use");
}

std::optional<std::string> tool_use_template_of(std::string_view tokenizer_config_json) {
  return named_template(tokenizer_config_json, "tool_use");
}

}  // namespace glia::text
