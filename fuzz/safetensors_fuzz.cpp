// Any bytes as a safetensors file: parsed and readable to the last byte of every tensor, or refused with glia::Error.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "formats/fixtures.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto file = glia::formats::SafetensorsFile::parse(std::as_bytes(std::span(data, size)));
    glia::formats::touch_all(file);
  } catch (const glia::Error&) {
  }
  return 0;
}
