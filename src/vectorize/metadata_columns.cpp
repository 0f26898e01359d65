#include "vectorize/metadata_columns.h"

#include <algorithm>

#include "base/error.h"
#include "vectorize/compact_json.h"

namespace glia::vectorize {
namespace {

/// A condition on one column, by the ids of its values.
class Test {
 public:
  Test(const Column& column, const Condition& condition) : column_(&column) {
    negated_ = condition.op == Operator::ne || condition.op == Operator::nin;
    if (negated_ || condition.op == Operator::eq || condition.op == Operator::in) {
      for (const Value& value : condition.values) {
        if (std::holds_alternative<std::monostate>(value)) ids_.push_back(0);
        if (const auto id = column.find(value)) ids_.push_back(*id);
      }
      std::sort(ids_.begin(), ids_.end());
      return;
    }
    by_id_.resize(column.ids());
    for (std::uint32_t id = 1; id < column.ids(); ++id) {
      by_id_[id] = meets(condition, column.value_of(id)) ? 1 : 0;
      if (by_id_[id] != 0) ids_.push_back(id);
    }
  }

  bool passes(Slot slot) const {
    const std::uint32_t id = column_->id(slot);
    if (!by_id_.empty()) return by_id_[id] != 0;
    return std::binary_search(ids_.begin(), ids_.end(), id) != negated_;
  }

  /// Lists of slots that hold all that pass; nothing where there are none such.
  std::optional<std::vector<const std::vector<Slot>*>> lists() const {
    if (negated_ || (!ids_.empty() && ids_.front() == 0)) return std::nullopt;
    std::vector<const std::vector<Slot>*> out;
    for (const std::uint32_t id : ids_) out.push_back(&column_->slots(id));
    return out;
  }

 private:
  const Column* column_;
  bool negated_ = false;
  std::vector<std::uint32_t> ids_;   ///< sorted; that the values of an equality have, or that a range meets
  std::vector<std::uint8_t> by_id_;  ///< of a range
};

/// {"a": {"b": value}} of "a.b", into what is there already.
void put(json::object& object, std::string_view path, const Value& value) {
  const auto dot = path.find('.');
  const std::string_view key = path.substr(0, dot);
  if (dot != std::string_view::npos) {
    auto& inner = object[key];
    if (!inner.is_object()) inner = json::object();
    return put(inner.get_object(), path.substr(dot + 1), value);
  }
  if (const auto* number = std::get_if<double>(&value)) object[key] = *number;
  if (const auto* text = std::get_if<std::string>(&value)) object[key] = *text;
  if (const auto* flag = std::get_if<bool>(&value)) object[key] = *flag;
}

}  // namespace

void Column::set(Slot slot, const Value& value) {
  ids_.resize(static_cast<std::size_t>(slot) + 1);
  if (std::holds_alternative<std::monostate>(value)) return;
  const auto [it, is_new] = numbers_.try_emplace(value, static_cast<std::uint32_t>(values_.size()));
  if (is_new) {
    values_.push_back(value);
    slots_.emplace_back();
  }
  ids_[slot] = it->second;
  slots_[it->second].push_back(slot);
}

std::optional<std::uint32_t> Column::find(const Value& value) const {
  const auto it = numbers_.find(value);
  if (it == numbers_.end()) return std::nullopt;
  return it->second;
}

Value indexed_value(const json::object& metadata, const MetadataIndex& index) {
  std::string_view path = index.property;
  const json::object* object = &metadata;
  for (;;) {
    const auto dot = path.find('.');
    const auto* value = object->if_contains(path.substr(0, dot));
    if (value == nullptr) return std::monostate();
    if (dot == std::string_view::npos) {
      if (index.type == PropertyType::string && value->is_string()) {
        return std::string(indexed_part(value->get_string()));
      }
      if (index.type == PropertyType::number && value->is_number()) return value->to_number<double>() + 0.0;
      if (index.type == PropertyType::boolean && value->is_bool()) return value->get_bool();
      return std::monostate();
    }
    if (!value->is_object()) return std::monostate();
    object = &value->get_object();
    path.remove_prefix(dot + 1);
  }
}

void MetadataColumns::add_column(MetadataIndex index, std::int64_t since_entry) {
  for (const Column& c : columns_) {
    if (c.index().property == index.property && c.index().type == index.type) return;
  }
  remove_column(index.property);
  columns_.emplace_back(std::move(index), since_entry);
}

void MetadataColumns::remove_column(std::string_view property) {
  std::erase_if(columns_, [&](const Column& c) { return c.index().property == property; });
}

const Column* MetadataColumns::find(std::string_view property) const {
  for (const Column& c : columns_) {
    if (c.index().property == property) return &c;
  }
  return nullptr;
}

void MetadataColumns::add(Slot slot, std::int64_t entry, const std::optional<std::string>& ns,
                          std::string_view metadata) {
  namespaces_.set(slot, ns ? Value(*ns) : Value());
  json::value parsed;
  for (Column& column : columns_) {
    if (entry < column.since_entry() || metadata.empty()) {
      column.set(slot, std::monostate());
      continue;
    }
    if (parsed.is_null()) {
      boost::system::error_code ec;
      parsed = json::parse(metadata, ec);
      if (ec || !parsed.is_object()) parsed = json::object();
    }
    column.set(slot, indexed_value(parsed.get_object(), column.index()));
  }
}

void MetadataColumns::clear(Slot slot) {
  namespaces_.clear(slot);
  for (Column& column : columns_) column.clear(slot);
}

void MetadataColumns::adopt_columns(const MetadataColumns& other) {
  for (const Column& column : other.columns_) columns_.emplace_back(column.index(), column.since_entry());
}

bool MetadataColumns::same_columns(const MetadataColumns& other) const {
  return std::equal(columns_.begin(), columns_.end(), other.columns_.begin(), other.columns_.end(),
                    [](const Column& a, const Column& b) {
                      return a.index().property == b.index().property && a.since_entry() == b.since_entry();
                    });
}

void MetadataColumns::copy(Slot slot, const MetadataColumns& from, Slot other) {
  namespaces_.set(slot, from.namespaces_.value(other));
  for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i].set(slot, from.columns_[i].value(other));
}

std::optional<std::string> MetadataColumns::namespace_of(Slot slot) const {
  const auto* text = std::get_if<std::string>(&namespaces_.value(slot));
  return text == nullptr ? std::nullopt : std::optional(*text);
}

std::string MetadataColumns::indexed_metadata(Slot slot) const {
  json::object object;
  for (const Column& column : columns_) {
    if (column.id(slot) != 0) put(object, column.index().property, column.value(slot));
  }
  return object.empty() ? std::string() : compact_json(object);
}

std::optional<std::vector<Slot>> MetadataColumns::matching(const std::optional<std::string>& ns, const Filter* filter,
                                                           const Slots& slots) const {
  if (!ns && filter == nullptr) return std::nullopt;
  std::vector<Test> tests;
  if (ns) tests.emplace_back(namespaces_, Condition{{}, Operator::eq, {*ns}});
  for (const Condition& condition : filter == nullptr ? std::vector<Condition>() : filter->conditions) {
    if (const Column* const column = find(condition.property)) {
      tests.emplace_back(*column, condition);
    } else if (!meets(condition, std::monostate())) {
      return std::vector<Slot>();  // nobody has a property that is not indexed
    }
  }
  std::optional<std::vector<const std::vector<Slot>*>> shortest;
  std::size_t shortest_size = 0;
  const Test* passed = nullptr;  // by all in those lists
  for (const Test& test : tests) {
    auto lists = test.lists();
    if (!lists) continue;
    std::size_t total = 0;
    for (const auto* list : *lists) total += list->size();
    if (shortest && total >= shortest_size) continue;
    shortest = std::move(lists);
    shortest_size = total;
    passed = &test;
  }
  std::vector<Slot> out;
  const auto take = [&](Slot slot) {
    if (!slots.is_live(slot)) return;
    for (const Test& test : tests) {
      if (&test != passed && !test.passes(slot)) return;
    }
    out.push_back(slot);
  };
  if (!shortest) {
    for (Slot slot = 0; slot < slots.size(); ++slot) take(slot);
    return out;
  }
  out.reserve(shortest_size);
  for (const auto* list : *shortest) {
    for (const Slot slot : *list) take(slot);
  }
  if (shortest->size() > 1) std::sort(out.begin(), out.end());
  return out;
}

}  // namespace glia::vectorize
