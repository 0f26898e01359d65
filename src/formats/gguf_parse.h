// The GGUF reader proper: bytes to checked metadata and tensor views. Internal to the room; gguf.h is its face.
// Errors: throws glia::Error(model_unavailable) with what is wrong and at which byte. Memory: a small multiple of the
// file's metadata, never a count that the file merely claims.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "formats/gguf.h"
#include "tensor/view.h"

namespace glia::formats {

struct GgufContents {
  std::uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, tensor::View, std::less<>> tensors;
};

GgufContents parse_gguf(std::span<const std::byte> bytes);

}  // namespace glia::formats
