// Any bytes as a form whose content type is the first line: parts inside the body and within the limits, or refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "http/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto line = bytes.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto boundary = glia::http::form_boundary(bytes.substr(0, line));
  if (!boundary) return 0;
  const std::string_view body = bytes.substr(line + 1);
  const glia::http::FormLimits limits{.max_parts = 8, .max_part_header_bytes = 512};
  try {
    const auto parts = glia::http::parse_form(body, *boundary, limits);
    if (parts.size() > limits.max_parts) std::abort();
    std::size_t held = 0;
    for (const auto& part : parts) {
      if (part.data.data() < body.data() || part.data.data() + part.data.size() > body.data() + body.size())
        std::abort();
      held += part.data.size();
    }
    if (held > body.size()) std::abort();
  } catch (const glia::Error&) {
  }
  return 0;
}
