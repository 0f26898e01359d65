#include "tasks/encoding_input.h"

#include <utility>

#include "base/error.h"

namespace glia::tasks {
namespace {

[[noreturn]] void refuse(const std::string& why) { throw Error(ErrorCode::invalid_input, why); }

std::string text_of(json::value& value) {
  auto& text = value.as_string();
  return {text.data(), text.size()};
}

/// A string, or a list of them, put behind `texts`, each after `prefix`.
void take_texts(json::object& inputs, std::string_view field, std::string_view prefix,
                std::vector<std::string>& texts) {
  auto* value = inputs.if_contains(field);
  if (value == nullptr) return;
  if (value->is_string()) {
    texts.push_back(std::string(prefix) + text_of(*value));
    return;
  }
  for (json::value& text : value->as_array()) texts.push_back(std::string(prefix) + text_of(text));
}

void take_contexts(json::object& inputs, std::vector<std::string>& texts) {
  auto& contexts = inputs.at("contexts").as_array();
  for (std::size_t i = 0; i < contexts.size(); i++) {
    auto* text = contexts[i].as_object().if_contains("text");
    if (text == nullptr) refuse("contexts[" + std::to_string(i) + "].text: missing");
    texts.push_back(text_of(*text));
  }
  if (texts.empty()) refuse("contexts: at least one is expected");
}

/// How Qwen3-Embedding's queries are written (the model's card on Hugging Face).
std::string query_prefix(json::object& inputs) {
  auto* instruction = inputs.if_contains("instruction");
  return instruction == nullptr ? std::string() : "Instruct: " + text_of(*instruction) + "\nQuery:";
}

}  // namespace

EncodingInput read_encoding(json::object inputs, const catalog::ModelEntry& entry) {
  EncodingInput out;
  const bool embeds = entry.task == "Text Embeddings";
  if (const auto* truncate = inputs.if_contains("truncate_inputs")) out.truncate = truncate->as_bool();
  if (auto* query = inputs.if_contains("query")) {
    out.task = embeds ? EncodingTask::similarity : EncodingTask::relevance;
    out.query = text_of(*query);
    if (!inputs.contains("contexts")) refuse("contexts: missing beside query");
    take_contexts(inputs, out.texts);
    if (const auto* top_k = inputs.if_contains("top_k")) out.top_k = top_k->to_number<std::size_t>();
    return out;
  }
  if (!embeds) {
    out.task = EncodingTask::classification;
    out.texts.push_back(text_of(inputs.at("text")));
    return out;
  }
  if (const auto* pooling = inputs.if_contains("pooling")) {
    out.pooling = pooling->as_string() == "cls" ? engine::Pooling::first : engine::Pooling::mean;
  }
  out.names_pooling = out.pooling || entry.schema == "text-embeddings-m3";
  out.of_contexts = inputs.contains("contexts");
  if (out.of_contexts) {
    take_contexts(inputs, out.texts);
    return out;
  }
  take_texts(inputs, "queries", query_prefix(inputs), out.texts);
  take_texts(inputs, "documents", "", out.texts);
  take_texts(inputs, "text", "", out.texts);
  if (out.texts.empty()) refuse("text: at least one is expected");
  return out;
}

}  // namespace glia::tasks
