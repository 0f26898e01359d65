// Scores of texts by a query, from an encoder's rows of length 1.
// Source: docs/reranking.md. Thread rule: functions of their arguments.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace glia::tasks {

/// Of two vectors of the same width.
double cosine(std::span<const float> a, std::span<const float> b);

/// Whether a query's token counts in late interaction: punctuation does not.
bool counts(std::string_view piece);

/// How well a context answers a query, in (0, 1), by its nearest token for each of the query's.
/// query: [m, width], the tokens that count; context: [n, width]; both without special tokens.
double late_interaction(std::span<const float> query, std::span<const float> context, std::size_t width);

}  // namespace glia::tasks
