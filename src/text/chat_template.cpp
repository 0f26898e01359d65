#include "text/chat_template.h"

#include <utility>

#include "base/json.h"
#include "formats/gguf.h"
#include "text/rust.h"

namespace glia::text {

struct ChatTemplate::Impl {
  rust::Owned<GliaTemplate> handle;
};

ChatTemplate::ChatTemplate(std::string_view source, std::string_view bos_token, std::string_view eos_token)
    : impl_(std::make_unique<Impl>(Impl{rust::Owned<GliaTemplate>(rust::call<GliaTemplate*>(
          glia_template_new, rust::bytes(source), rust::bytes(bos_token), rust::bytes(eos_token)))})) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const ChatTemplateInput& input) const {
  return rust::take(rust::call<GliaText>(glia_template_render, impl_->handle.get(), rust::bytes(input.messages_json),
                                         rust::bytes(input.tools_json), rust::bytes(input.extra_json),
                                         std::int32_t{input.add_generation_prompt}, input.now_unix_s));
}

std::optional<std::string> chat_template_of(const formats::GgufFile& file) {
  const auto source = file.find_string("tokenizer.chat_template");
  if (!source || source->empty()) return std::nullopt;
  return std::string(*source);
}

std::optional<std::string> chat_template_of(std::string_view tokenizer_config_json) {
  const json::value config = parse_json(tokenizer_config_json);
  const json::object* object = config.if_object();
  const json::value* source = object == nullptr ? nullptr : object->if_contains("chat_template");
  if (source == nullptr) return std::nullopt;
  if (const json::string* text = source->if_string()) return std::string(*text);
  // Several by name: [{"name": "default", "template": …}, {"name": "tool_use", …}].
  const json::array* list = source->if_array();
  if (list == nullptr) return std::nullopt;
  for (const json::value& entry : *list) {
    const json::object* named = entry.if_object();
    if (named == nullptr) continue;
    const json::value* name = named->if_contains("name");
    const json::value* text = named->if_contains("template");
    if (name != nullptr && text != nullptr && name->is_string() && text->is_string() &&
        name->as_string() == "default") {
      return std::string(text->as_string());
    }
  }
  return std::nullopt;
}

}  // namespace glia::text
