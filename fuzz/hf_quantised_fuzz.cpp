// Any bytes as a quantised Hugging Face folder (config.json and one safetensors file, formats/fixtures.h): every row of
// every weight can be made, or the folder is refused with glia::Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "formats/fixtures.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    glia::formats::touch_folder(std::as_bytes(std::span(data, size)));
  } catch (const glia::Error&) {
  }
  return 0;
}
