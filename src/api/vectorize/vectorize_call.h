// What Vectorize's two dialects share.
#pragma once

#include <string>
#include <vector>

#include "api/context.h"
#include "vectorize/vector_text.h"

namespace glia::api {

/// The service refuses indexes below; here they are only noted.
inline constexpr int kServiceLeastDimensions = 32;

/// Errors: glia::Error(not_served) where this server has no vector indexes, with why.
void need_vectorize(const Context& context);

/// What was left out of an upload.
void note_vectors(const vectorize::ParsedVectors& parsed, std::vector<std::string>& notes);
void note_unindexed(const std::vector<std::string>& properties, std::vector<std::string>& notes);

}  // namespace glia::api
