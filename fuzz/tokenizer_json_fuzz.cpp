// Any text as a tokenizer.json: a tokenizer that encodes, decodes and streams, or refused with glia::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using glia::text::StreamDecoder;
  using glia::text::Tokenizer;
  try {
    const Tokenizer tokenizer = Tokenizer::from_json({reinterpret_cast<const char*>(data), size});
    for (const std::string_view text : {"", "Some text, 12 <s> \xF0\x9F\x98\x80!", "  aa bb\n\nab\tc\xCC\x81 "}) {
      const auto ids = tokenizer.encode(text, true);
      for (const bool skip : {false, true}) {
        const std::string whole = tokenizer.decode(ids, skip);
        StreamDecoder stream(tokenizer, skip);
        std::string pieces;
        for (const std::int32_t id : ids) pieces += stream.push(id);
        if (pieces + stream.finish() != whole) std::abort();
      }
    }
  } catch (const glia::Error&) {
  }
  return 0;
}
