// OpenAI's embeddings: {input, encoding_format, dimensions} in, a list of vectors out. Source: OpenAI's API reference,
// embeddings/create.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/openai/parameters.h"
#include "api/text_call.h"

namespace glia::api {

struct EmbeddingsRequest : OpenAiRequest {
  bool base64 = false;  ///< little-endian float32, instead of numbers
  std::optional<std::size_t> dimensions;
};

/// Errors: glia::Error(invalid_input) whose detail begins with the parameter.
EmbeddingsRequest read_embeddings_request(json::object body);

/// Vectors are cut to `dimensions` and made length 1 again.
std::unique_ptr<TextFormat> embeddings_format(bool base64, std::optional<std::size_t> dimensions);

}  // namespace glia::api
