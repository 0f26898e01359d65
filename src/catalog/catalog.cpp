#include "catalog/catalog.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "catalog/embedded.h"
#include "catalog/misspelling.h"
#include "catalog/schema.h"

namespace glia::catalog {
namespace {

constexpr std::size_t kLongestId = 128;  // what is compared of a misspelt id

[[noreturn]] void inconsistent(const std::string& what) {
  throw Error(ErrorCode::internal, "the catalogue is inconsistent: " + what);
}

std::string text(const json::object& o, std::string_view key) { return std::string(o.at(key).as_string()); }

std::vector<std::string> texts(const json::object& o, std::string_view key) {
  std::vector<std::string> out;
  for (const auto& e : o.at(key).as_array()) out.emplace_back(e.as_string());
  return out;
}

std::optional<TokenPrice> token_price(const json::value& price) {
  if (price.is_null()) return {};
  const auto& o = price.as_object();
  const auto* const input = o.if_contains("input_per_m_tokens");
  if (input == nullptr) return {};  // priced by minute, tile or step
  const auto* const output = o.if_contains("output_per_m_tokens");
  return TokenPrice{input->to_number<double>(), output != nullptr ? output->to_number<double>() : 0};
}

/// The shape of a day, not that it exists: it is shown, and sorts as text.
bool is_day(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-dd";
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(),
                    [](char c, char shape) { return shape == 'd' ? c >= '0' && c <= '9' : c == shape; });
}

ModelEntry read_model(const json::object& o) {
  ModelEntry m;
  m.id = text(o, "id");
  m.uuid = text(o, "uuid");
  m.aliases = texts(o, "aliases");
  m.task = text(o, "task");
  m.description = text(o, "description");
  if (const auto& window = o.at("context_window"); !window.is_null())
    m.context_window = window.to_number<std::int32_t>();
  if (const auto* const n = o.if_contains("default_max_tokens")) m.default_max_tokens = n->to_number<std::int32_t>();
  m.price = token_price(o.at("price"));
  if (const auto& schema = o.at("schema"); !schema.is_null()) m.schema = std::string(schema.as_string());
  m.capabilities = texts(o, "capabilities");
  if (const auto* const day = o.if_contains("deprecated")) m.deprecated = std::string(day->as_string());
  if (!m.deprecated.empty() && !is_day(m.deprecated)) inconsistent(m.id + " is deprecated on no day");
  if (const auto* const tiny = o.at("weights").as_object().if_contains("tiny")) {
    m.tiny_weights = std::string(tiny->as_string());
  }
  return m;
}

WeightsEntry read_weights(const json::object& o) {
  WeightsEntry w;
  w.name = text(o, "name");
  w.file = text(o, "file");
  w.sha256 = text(o, "sha256");
  w.bytes = o.at("bytes").to_number<std::uint64_t>();
  w.package = text(o, "package") + " " + text(o, "version");
  w.licence = text(o, "licence");
  return w;
}

const json::value& file(const Files& files, std::string_view name) {
  const auto it = files.find(name);
  if (it == files.end()) inconsistent(std::string(name) + " is missing");
  return it->second;
}

/// A schema as it is checked: one that extends another has that one's properties and keywords too, its own first.
json::object schema_source(const Files& files, const std::string& name) {
  auto source = file(files, "schemas/" + name + ".json").as_object();
  const auto* const extends = source.if_contains("extends");
  if (extends == nullptr) return source;
  auto whole = file(files, "schemas/" + std::string(extends->as_string()) + ".json").as_object();
  if (whole.contains("extends")) inconsistent("schemas/" + name + ".json extends a schema that extends another");
  for (const auto& [property, schema] : source.at("properties").as_object()) {
    whole.at("properties").as_object()[property] = schema;
  }
  source.erase("extends");
  source.erase("properties");
  for (const auto& [keyword, value] : source) whole[keyword] = value;
  return whole;
}

/// Keeps the order of the rest: unknown names are reported as they came.
void drop_nulls(json::object& value) {
  if (std::none_of(value.begin(), value.end(), [](const auto& member) { return member.value().is_null(); })) return;
  json::object kept(value.storage());
  kept.reserve(value.size());
  for (auto& member : value) {
    if (!member.value().is_null()) kept.emplace(member.key(), std::move(member.value()));
  }
  value = std::move(kept);
}

}  // namespace

double TokenPrice::neurons(std::int64_t input_tokens, std::int64_t output_tokens) const {
  // A price per million tokens is a price in millionths of a neuron per token.
  return std::round(static_cast<double>(input_tokens) * input + static_cast<double>(output_tokens) * output) / 1e6;
}

bool ModelEntry::has_capability(std::string_view name) const {
  return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
}

struct Catalog::Impl {
  struct Input {
    json::value source;
    Schema schema;
  };
  std::vector<ModelEntry> models;
  std::map<std::string, std::size_t, std::less<>> by_name;  ///< ids and aliases
  std::map<std::string, WeightsEntry, std::less<>> weights;
  std::map<std::string, Input, std::less<>> schemas;

  void add(ModelEntry m, const Files& files);
  void name(const std::string& id) {
    if (!by_name.emplace(id, models.size()).second) inconsistent(id + " stands twice");
  }
};

void Catalog::Impl::add(ModelEntry m, const Files& files) {
  name(m.id);
  for (const auto& alias : m.aliases) name(alias);
  if (!m.tiny_weights.empty() && !weights.contains(m.tiny_weights)) inconsistent("no weights named " + m.tiny_weights);
  if (m.served() && !schemas.contains(m.schema)) {
    auto source = schema_source(files, m.schema);
    Schema schema(source);
    schemas.emplace(m.schema, Input{std::move(source), std::move(schema)});
  }
  models.push_back(std::move(m));
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::Catalog(Catalog&&) noexcept = default;
Catalog& Catalog::operator=(Catalog&&) noexcept = default;
Catalog::~Catalog() = default;

Catalog Catalog::load() {
  Files files;
  for (const auto& [name, content] : embedded_files()) files.emplace(name, parse_json(content));
  return from_files(files);
}

Catalog Catalog::from_files(const Files& files) {
  auto impl = std::make_unique<Impl>();
  try {
    for (const auto& w : file(files, "weights.json").at("weights").as_array()) {
      auto entry = read_weights(w.as_object());
      auto name = entry.name;
      if (!impl->weights.emplace(name, std::move(entry)).second) inconsistent(name + " stands twice");
    }
    for (const auto& m : file(files, "models.json").at("models").as_array())
      impl->add(read_model(m.as_object()), files);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    inconsistent("a field is missing or has the wrong type");
  }
  return Catalog(std::move(impl));
}

const std::vector<ModelEntry>& Catalog::models() const { return impl_->models; }

const ModelEntry* Catalog::find(std::string_view id) const {
  const auto it = impl_->by_name.find(id);
  return it == impl_->by_name.end() ? nullptr : &impl_->models[it->second];
}

std::vector<std::string> Catalog::nearest(std::string_view id, std::size_t count) const {
  id = id.substr(0, kLongestId);
  std::vector<std::pair<std::size_t, std::size_t>> ranked(impl_->models.size(), {SIZE_MAX, 0});
  for (const auto& [name, index] : impl_->by_name) {
    ranked[index] = std::min(ranked[index], {misspelling_cost(id, name), index});
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) out.push_back(impl_->models[ranked[i].second].id);
  return out;
}

const WeightsEntry* Catalog::weights(std::string_view name) const {
  const auto it = impl_->weights.find(name);
  return it == impl_->weights.end() ? nullptr : &it->second;
}

std::optional<Violation> Catalog::validate(const ModelEntry& entry, json::object& value,
                                           std::vector<std::string>& unknown) const {
  const auto& schema = impl_->schemas.at(entry.schema).schema;
  unknown = schema.unknown(value);
  drop_nulls(value);
  const bool chose_max_tokens = value.contains("max_tokens");
  json::value whole(std::move(value));
  auto violation = schema.check(whole);
  value = std::move(whole.as_object());
  if (!violation && !chose_max_tokens && value.contains("max_tokens")) value["max_tokens"] = entry.default_max_tokens;
  return violation;
}

const json::value* Catalog::input_schema(const ModelEntry& entry) const {
  const auto it = impl_->schemas.find(entry.schema);
  return it == impl_->schemas.end() ? nullptr : &it->second.source;
}

}  // namespace glia::catalog
