#include "api/encoding_format.h"

#include <array>
#include <charconv>
#include <cmath>

#include "api/envelope.h"

namespace glia::api {
namespace {

/// A list of vectors as text: a tree of JSON values would take twenty times the floats.
void append_rows(std::string& out, const tasks::Embeddings& vectors) {
  out += '[';
  for (std::size_t at = 0; at < vectors.values.size(); at += vectors.width) {
    if (at > 0) out += ',';
    append_floats(out, std::span(vectors.values).subspan(at, vectors.width));
  }
  out += ']';
}

std::string vectors_body(const tasks::Embeddings& vectors) {
  const std::size_t texts = vectors.width == 0 ? 0 : vectors.values.size() / vectors.width;
  std::string out;
  out.reserve(vectors.values.size() * 13 + 128);
  out += "{\"shape\":[" + std::to_string(texts) + "," + std::to_string(vectors.width) + "],";
  out += vectors.of_contexts ? "\"response\":" : "\"data\":";
  append_rows(out, vectors);
  if (!vectors.pooling.empty()) out += ",\"pooling\":" + json::serialize(json::string(vectors.pooling));
  return out + "}";
}

json::value scores_body(const std::vector<tasks::ContextScore>& scores) {
  json::array list;
  for (const auto& score : scores) list.push_back(json::object{{"id", score.context}, {"score", score.score}});
  return json::object{{"response", std::move(list)}};
}

json::value labels_body(const std::vector<tasks::LabelScore>& labels) {
  json::array list;
  for (const auto& label : labels) list.push_back(json::object{{"label", label.label}, {"score", label.score}});
  return list;
}

}  // namespace

void append_floats(std::string& out, std::span<const float> values) {
  out += '[';
  std::array<char, 32> digits{};
  for (std::size_t i = 0; i < values.size(); i++) {
    if (i > 0) out += ',';
    const float value = std::isfinite(values[i]) ? values[i] : 0;  // JSON has no other
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    out.append(digits.data(), end);
  }
  out += ']';
}

std::string native_encoding(const tasks::RunInfo& info, const tasks::EncodingResult& result, bool envelope) {
  std::string body;
  if (const auto* vectors = std::get_if<tasks::Embeddings>(&result.answer)) {
    body = vectors_body(*vectors);
  } else if (const auto* scores = std::get_if<std::vector<tasks::ContextScore>>(&result.answer)) {
    body = json::serialize(scores_body(*scores));
  } else {
    body = json::serialize(labels_body(std::get<std::vector<tasks::LabelScore>>(result.answer)));
  }
  if (!envelope) return body;
  std::string around = json::serialize(api::envelope(nullptr, info.messages));
  constexpr std::string_view kResult = "\"result\":";
  around.replace(around.find(kResult) + kResult.size(), std::string_view("null").size(), body);
  return around;
}

}  // namespace glia::api
