// What embeddings, reranking and text classification ask an encoder for, typed. Source: the service's input tables
// (catalog/schemas/text-embeddings*.json, reranker.json, text-classification.json).
// Thread rule: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "catalog/catalog.h"
#include "engine/text_encoder.h"

namespace glia::tasks {

enum class EncodingTask {
  embeddings,      ///< a vector for each text
  similarity,      ///< scores of texts by their vectors' nearness to the query's
  relevance,       ///< scores of texts by a model that reads query and text together
  classification,  ///< labels of one text
};

struct EncodingInput {
  EncodingTask task = EncodingTask::embeddings;
  std::string query;               ///< of the scores
  std::vector<std::string> texts;  ///< at least one
  std::optional<engine::Pooling> pooling = {};
  bool names_pooling = false;             ///< in the answer
  bool of_contexts = false;               ///< Embeddings'
  bool truncate = false;                  ///< what is too long is cut at its end, else refused
  std::optional<std::size_t> top_k = {};  ///< so many of the scores
};

/// Reads what the schema let through.
/// Errors: glia::Error(invalid_input), naming the field, where a context has no text or nothing is asked for.
EncodingInput read_encoding(json::object inputs, const catalog::ModelEntry& entry);

}  // namespace glia::tasks
