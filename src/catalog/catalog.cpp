#include "catalog/catalog.h"

#include <algorithm>
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

std::string text_or_empty(const json::object& o, std::string_view key) {
  const auto* const v = o.if_contains(key);
  return v == nullptr ? std::string() : std::string(v->as_string());
}

std::vector<std::string> texts(const json::object& o, std::string_view key) {
  std::vector<std::string> out;
  for (const auto& e : o.at(key).as_array()) out.emplace_back(e.as_string());
  return out;
}

/// The price per token alone; what is priced by minute, tile or step has none.
std::optional<TokenPrice> token_price(const std::vector<UnitPrice>& prices) {
  TokenPrice out;
  bool found = false;
  for (const auto& price : prices) {
    if (price.unit.counts == "input_tokens") {
      out.input = price.neurons;
      found = true;
    } else if (price.unit.counts == "output_tokens") {
      out.output = price.neurons;
    } else if (price.unit.counts == "cached_input_tokens") {
      out.cached_input = price.neurons;
    }
  }
  if (!found) return {};
  return out;
}

std::vector<UnitPrice> read_prices(const json::value& from, const std::vector<Unit>& units) {
  std::vector<UnitPrice> out;
  if (from.is_null()) return out;
  for (const auto& [key, neurons] : from.as_object()) {
    const auto unit = std::find_if(units.begin(), units.end(), [&key = key](const Unit& u) { return u.key == key; });
    if (unit == units.end()) inconsistent("a price " + std::string(key) + " has no unit in tasks.json");
    out.push_back({*unit, neurons.to_number<double>()});
  }
  return out;
}

ModelEntry read_model(const json::object& o, const std::vector<Unit>& units) {
  ModelEntry m;
  m.id = text(o, "id");
  m.uuid = text(o, "uuid");
  m.aliases = texts(o, "aliases");
  m.task = text(o, "task");
  m.description = text(o, "description");
  if (const auto& window = o.at("context_window"); !window.is_null())
    m.context_window = window.to_number<std::int32_t>();
  if (const auto* const n = o.if_contains("dimensions")) m.dimensions = n->to_number<std::int32_t>();
  m.prices = read_prices(o.at("price"), units);
  m.price = token_price(m.prices);
  m.schema = text(o, "schema");
  m.capabilities = texts(o, "capabilities");
  m.deprecated = text_or_empty(o, "deprecated");
  if (!m.deprecated.empty() && !is_day(m.deprecated)) inconsistent(m.id + " is deprecated on no day");
  const auto& weights = o.at("weights").as_object();
  m.tiny_weights = text_or_empty(weights, "tiny");
  m.full_weights = text_or_empty(weights, "full");
  return m;
}

WeightsEntry read_weights(const json::object& o) {
  WeightsEntry w;
  w.name = text(o, "name");
  w.file = text(o, "file");
  w.package = text(o, "package") + " " + text(o, "version");
  w.licence = text(o, "licence");
  return w;
}

const json::value& file(const Files& files, std::string_view name) {
  const auto it = files.find(name);
  if (it == files.end()) inconsistent(std::string(name) + " is missing");
  return it->second;
}

/// Keeps the order of the rest: unused names are reported as they came.
void drop_nulls(json::object& value) {
  if (std::none_of(value.begin(), value.end(), [](const auto& member) { return member.value().is_null(); })) return;
  json::object kept(value.storage());
  kept.reserve(value.size());
  for (auto& member : value) {
    if (!member.value().is_null()) kept.emplace(member.key(), std::move(member.value()));
  }
  value = std::move(kept);
}

std::optional<Violation> check(const Schema& schema, json::object& value) {
  drop_nulls(value);
  json::value whole(std::move(value));
  auto violation = schema.check(whole);
  value = std::move(whole.as_object());
  return violation;
}

std::optional<Violation> check_batch(const Schema& schema, json::value& requests) {
  auto* const items = requests.if_array();
  if (items == nullptr || items->empty()) return Violation{"requests", "must be an array of inputs"};
  for (std::size_t i = 0; i < items->size(); ++i) {
    const auto at = "requests[" + std::to_string(i) + "]";
    auto* const item = (*items)[i].if_object();
    if (item == nullptr) return Violation{at, "must be an object"};
    if (auto violation = check(schema, *item)) {
      violation->path = violation->path.empty() ? at : at + "." + violation->path;
      return violation;
    }
  }
  return {};
}

/// What a model takes: its form's input with the model's own bounds.
struct Input {
  explicit Input(json::object from) : source(std::move(from)), schema(source.as_object()) {}
  json::value source;
  Schema schema;
};

}  // namespace

bool is_day(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-dd";
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(),
                    [](char c, char shape) { return shape == 'd' ? c >= '0' && c <= '9' : c == shape; });
}

bool ModelEntry::has_capability(std::string_view name) const {
  return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
}

struct Catalog::Impl {
  std::vector<ModelEntry> models;
  std::vector<Task> tasks;
  std::vector<std::string> published;                       ///< capabilities
  std::map<std::string, std::size_t, std::less<>> by_name;  ///< ids and aliases
  std::map<std::string, WeightsEntry, std::less<>> weights;
  std::map<std::string, Form, std::less<>> forms;
  std::map<std::string, std::shared_ptr<const Input>, std::less<>> inputs;  ///< by form, and by id where an id differs

  void read_tasks(const json::object& from, std::vector<Unit>& units);
  void add(const json::object& from, const std::vector<Unit>& units, const Files& files);
  void name(const std::string& id) {
    if (!by_name.emplace(id, models.size()).second) inconsistent(id + " stands twice");
  }
  const Input& input(const ModelEntry& entry) const {
    const auto own = inputs.find(entry.id);
    return *(own != inputs.end() ? own : inputs.find(entry.schema))->second;
  }
};

void Catalog::Impl::read_tasks(const json::object& from, std::vector<Unit>& units) {
  for (const auto& t : from.at("tasks").as_array()) {
    const auto& o = t.as_object();
    tasks.push_back({text(o, "name"), text(o, "id"), text(o, "description")});
  }
  for (const auto& u : from.at("units").as_array()) {
    const auto& o = u.as_object();
    units.push_back({text(o, "key"), text(o, "words"), text(o, "counts"), o.at("per").to_number<double>()});
  }
  published = texts(from, "published_capabilities");
}

void Catalog::Impl::add(const json::object& from, const std::vector<Unit>& units, const Files& files) {
  auto m = read_model(from, units);
  name(m.id);
  for (const auto& alias : m.aliases) name(alias);
  if (!m.tiny_weights.empty() && !weights.contains(m.tiny_weights)) inconsistent("no weights named " + m.tiny_weights);
  if (std::none_of(tasks.begin(), tasks.end(), [&m](const Task& t) { return t.name == m.task; })) {
    inconsistent("no task named " + m.task);
  }
  auto form = forms.find(m.schema);
  if (form == forms.end()) {
    form = forms.emplace(m.schema, read_form(files, m.schema)).first;
    inputs.emplace(m.schema, std::make_shared<const Input>(form->second.input));
  }
  if (const auto* const own = from.if_contains("input")) {
    inputs.emplace(m.id, std::make_shared<const Input>(with_overrides(form->second.input, own->as_object())));
  }
  m.kind = form->second.title;
  m.runs = form->second.runs;
  m.raw_body = form->second.raw_body;
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
    std::vector<Unit> units;
    impl->read_tasks(file(files, "tasks.json").as_object(), units);
    for (const auto& m : file(files, "models.json").at("models").as_array()) impl->add(m.as_object(), units, files);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    inconsistent("a field is missing or has the wrong type");
  }
  return Catalog(std::move(impl));
}

const std::vector<ModelEntry>& Catalog::models() const { return impl_->models; }
const std::vector<Task>& Catalog::tasks() const { return impl_->tasks; }

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

bool Catalog::is_published(std::string_view capability) const {
  return std::find(impl_->published.begin(), impl_->published.end(), capability) != impl_->published.end();
}

std::optional<Violation> Catalog::validate(const ModelEntry& entry, json::object& value,
                                           std::vector<std::string>& unused) const {
  const auto& schema = impl_->input(entry).schema;
  unused.clear();
  if (entry.takes_batches()) {
    if (auto* const requests = value.if_contains("requests"); requests != nullptr && !requests->is_null()) {
      return check_batch(schema, *requests);
    }
  }
  unused = schema.unused(value);
  return check(schema, value);
}

bool Catalog::knows(const ModelEntry& entry, std::string_view property) const {
  return impl_->input(entry).schema.names(property);
}

const json::value& Catalog::input_schema(const ModelEntry& entry) const { return impl_->input(entry).source; }

const json::value& Catalog::output_schema(const ModelEntry& entry) const {
  return impl_->forms.at(entry.schema).output;
}

const json::array& Catalog::examples(const ModelEntry& entry) const { return impl_->forms.at(entry.schema).examples; }

TypicalCost Catalog::typical_cost(const ModelEntry& entry) const {
  const auto& typical = impl_->forms.at(entry.schema).typical;
  const double neurons = typical_neurons(entry.prices, typical);
  return {typical.words, neurons, neurons * kDollarsPerNeuron};
}

}  // namespace glia::catalog
