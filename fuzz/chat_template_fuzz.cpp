// Any text as a chat template, and after a line of %% any text as the messages: a prompt, or refused with glia::Error,
// in bounded time and memory.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t at = input.find("\n%%\n");
  const std::string_view messages = at == std::string_view::npos
                                        ? R"([{"role":"system","content":"S"},{"role":"user","content":"Hi"}])"
                                        : input.substr(at + 4);
  try {
    const glia::text::ChatTemplate chat(input.substr(0, at), "<s>", "</s>");
    chat.render({.messages_json = messages,
                 .tools_json = R"([{"type":"function","function":{"name":"now","parameters":{"type":"object"}}}])",
                 .now_unix_s = 1'700'000'000});
  } catch (const glia::Error&) {
  }
  return 0;
}
