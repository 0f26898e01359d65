// What filters look at: namespaces and the indexed metadata properties of the slots of one index.
//
// A property is covered from the entry at which its index was made; slots of older entries have null. For each value
// there is the list of its slots, so that a filter on one value costs what it finds. Thread rule: as Slots.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "vectorize/filter.h"
#include "vectorize/slots.h"
#include "vectorize/types.h"

namespace glia::vectorize {

/// One property: a number per slot that stands for its value (0: null), and the slots of each value.
class Column {
 public:
  explicit Column(MetadataIndex index, std::int64_t since_entry) : index_(std::move(index)), since_entry_(since_entry) {
    values_.emplace_back(std::monostate());
    slots_.emplace_back();
  }

  const MetadataIndex& index() const { return index_; }
  std::int64_t since_entry() const { return since_entry_; }
  void set(Slot slot, const Value& value);
  void clear(Slot slot) {
    if (slot < ids_.size()) ids_[slot] = 0;
  }
  const Value& value(Slot slot) const { return values_[id(slot)]; }

  std::uint32_t id(Slot slot) const { return slot < ids_.size() ? ids_[slot] : 0; }
  std::uint32_t ids() const { return static_cast<std::uint32_t>(values_.size()); }
  const Value& value_of(std::uint32_t id) const { return values_[id]; }
  /// Slots of a value that is not null, dead ones among them.
  const std::vector<Slot>& slots(std::uint32_t id) const { return slots_[id]; }
  std::optional<std::uint32_t> find(const Value& value) const;

 private:
  struct Hash {
    std::size_t operator()(const Value& value) const { return std::hash<Value>()(value); }
  };

  MetadataIndex index_;
  std::int64_t since_entry_;
  std::vector<Value> values_;  ///< by id
  std::vector<std::vector<Slot>> slots_;
  std::unordered_map<Value, std::uint32_t, Hash> numbers_;
  std::vector<std::uint32_t> ids_;  ///< by slot
};

/// The value that an index of this type keeps of a metadata object; null where there is none of the type.
Value indexed_value(const json::object& metadata, const MetadataIndex& index);

class MetadataColumns {
 public:
  /// One that is there stays as it is.
  void add_column(MetadataIndex index, std::int64_t since_entry);
  void remove_column(std::string_view property);
  const std::vector<Column>& columns() const { return columns_; }
  bool has(std::string_view property) const { return find(property) != nullptr; }

  /// The next slot. Errors: none; metadata that is not JSON of an object counts as none.
  void add(Slot slot, std::int64_t entry, const std::optional<std::string>& ns, std::string_view metadata);
  void clear(Slot slot);

  /// Columns as the other has them, without slots.
  void adopt_columns(const MetadataColumns& other);
  bool same_columns(const MetadataColumns& other) const;
  /// The next slot: as one of the other, whose columns are the same.
  void copy(Slot slot, const MetadataColumns& from, Slot other);

  std::optional<std::string> namespace_of(Slot slot) const;
  /// Compact JSON of the indexed properties of a slot; empty: it has none.
  std::string indexed_metadata(Slot slot) const;

  /// Live slots within the namespace that meet the filter, ascending. Nothing: every live slot does.
  std::optional<std::vector<Slot>> matching(const std::optional<std::string>& ns, const Filter* filter,
                                            const Slots& slots) const;

 private:
  const Column* find(std::string_view property) const;

  Column namespaces_{MetadataIndex{}, 0};
  std::vector<Column> columns_;
};

}  // namespace glia::vectorize
