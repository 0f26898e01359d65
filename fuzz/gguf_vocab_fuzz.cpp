// Any bytes as a GGUF file's vocabulary and template: usable, or refused with glia::Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "formats/gguf.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file = glia::formats::GgufFile::parse(std::as_bytes(std::span(data, size)));
    const auto tokenizer = glia::text::Tokenizer::from_gguf(file);
    const auto ids = tokenizer.encode("Some text, 12 <s> \xF0\x9F\x98\x80!", true);
    tokenizer.decode(ids, true);
    for (const std::int32_t id : ids) tokenizer.token_text(id);
    if (const auto source = glia::text::chat_template_of(file)) {
      const glia::text::ChatTemplate chat(*source, tokenizer.bos_text(), tokenizer.eos_text());
      chat.render({.messages_json = R"([{"role":"user","content":"Hi"}])"});
    }
  } catch (const glia::Error&) {
  }
  return 0;
}
