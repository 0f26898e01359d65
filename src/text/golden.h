// Reads the goldens of this room (tests/golden/text_*). Test code.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"

namespace glia::text {

inline std::filesystem::path golden_path(const std::string& name) {
  return std::filesystem::path(GLIA_SOURCE_DIR) / "tests" / "golden" / name;
}

inline std::string read_golden(const std::string& name) {
  std::ifstream file(golden_path(name), std::ios::binary);
  if (!file) throw std::runtime_error("no golden " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> corpus() {
  const json::value golden = parse_json(read_golden("text_tokenizers/corpus.json"));
  std::vector<std::string> texts;
  for (const json::value& text : golden.as_array()) texts.emplace_back(text.as_string());
  return texts;
}

/// The texts that a golden has ids for: every `stride`th of the corpus.
inline std::vector<std::string> corpus(const json::object& golden) {
  const json::value* stride = golden.if_contains("stride");
  const std::size_t step = stride == nullptr ? 1 : json::value_to<std::size_t>(*stride);
  std::vector<std::string> texts;
  const std::vector<std::string> all = corpus();
  for (std::size_t i = 0; i < all.size(); i += step) texts.push_back(all[i]);
  return texts;
}

inline Tokenizer golden_json(const std::string& name) {
  return Tokenizer::from_json(read_golden("text_tokenizers/" + name + "/tokenizer.json"));
}

inline Tokenizer golden_gguf(const std::string& name) {
  return Tokenizer::from_gguf(formats::GgufFile::open(golden_path("text_tokenizers/" + name + "/vocab.gguf")));
}

}  // namespace glia::text
