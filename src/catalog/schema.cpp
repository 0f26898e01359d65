#include "catalog/schema.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace glia::catalog {
namespace {

enum Type : unsigned { kObject = 1, kArray = 2, kString = 4, kNumber = 8, kInteger = 16, kBoolean = 32, kNull = 64 };

struct TypeName {
  std::string_view keyword;
  Type type;
  std::string_view words;
};
constexpr std::array<TypeName, 7> kTypes = {{{"object", kObject, "an object"},
                                             {"array", kArray, "an array"},
                                             {"string", kString, "a string"},
                                             {"number", kNumber, "a number"},
                                             {"integer", kInteger, "an integer"},
                                             {"boolean", kBoolean, "a boolean"},
                                             {"null", kNull, "null"}}};

[[noreturn]] void bad_schema(std::string_view what) {
  throw Error(ErrorCode::internal, "a schema of the catalogue is not usable: " + std::string(what));
}

std::size_t characters(std::string_view text) {
  std::size_t n = 0;
  for (const char c : text) n += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return n;
}

bool is_integral(const json::value& v) {
  if (v.is_int64() || v.is_uint64()) return true;
  return v.is_double() && std::isfinite(v.get_double()) && v.get_double() == std::trunc(v.get_double());
}

bool has_type(const json::value& v, unsigned types) {
  switch (v.kind()) {
    case json::kind::object:
      return (types & kObject) != 0;
    case json::kind::array:
      return (types & kArray) != 0;
    case json::kind::string:
      return (types & kString) != 0;
    case json::kind::bool_:
      return (types & kBoolean) != 0;
    case json::kind::null:
      return (types & kNull) != 0;
    default:
      return (types & kNumber) != 0 || ((types & kInteger) != 0 && is_integral(v));
  }
}

std::string number_words(double v) {
  constexpr double kExact = 9007199254740992;  // 2^53: above it, not every integer is a double
  if (v == std::trunc(v) && std::abs(v) < kExact) return std::to_string(static_cast<std::int64_t>(v));
  return json::serialize(json::value(v));
}

std::string joined(const std::vector<std::string>& words, std::string_view last) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? last : std::string_view(", ");
    out += words[i];
  }
  return out;
}

std::string count_of(std::size_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

/// A client's own name within a path.
std::string_view shown(std::string_view name) {
  constexpr std::size_t kLongest = 100;
  if (name.size() <= kLongest) return name;
  return name.substr(0, complete_utf8_prefix(name.substr(0, kLongest)));
}

/// A violation while alternatives are being compared: the one that got furthest into the value explains most.
struct Fault {
  Violation violation;
  std::size_t depth = 0;       ///< path segments
  bool discriminator = false;  ///< failed on an enum: this alternative was not meant
};
using Found = std::optional<Fault>;

bool explains_better(const Fault& a, const Fault& b) {
  if (a.discriminator != b.discriminator) return b.discriminator;
  return a.depth > b.depth;
}

struct Place {
  std::string path;
  std::size_t depth = 0;

  Place property(std::string_view name) const {
    return {path.empty() ? std::string(name) : path + "." + std::string(name), depth + 1};
  }
  Place item(std::size_t index) const { return {path + "[" + std::to_string(index) + "]", depth + 1}; }
  Fault fault(std::string message, bool discriminator = false) const {
    return {{path, std::move(message)}, depth, discriminator};
  }
};

}  // namespace

struct Schema::Node {
  unsigned types = 0;  ///< 0: any
  std::string expected;
  std::vector<std::string> required;
  std::vector<std::pair<std::string, Node>> properties;
  std::unique_ptr<Node> items, others;  ///< of an array; of the properties that are not named
  std::vector<json::value> allowed;
  std::optional<double> minimum, maximum;
  std::optional<std::size_t> min_length, max_length, min_items, max_items, min_properties, max_properties;
  std::vector<Node> one_of, any_of;
  std::optional<json::value> fallback;
  bool ignored = false;  ///< known, and nobody acts on it

  explicit Node(const json::object& source);

  const Node* property(std::string_view name) const {
    for (const auto& [key, node] : properties) {
      if (key == name) return &node;
    }
    return nullptr;
  }

  Found check(json::value& value, const Place& at) const;

 private:
  void read(std::string_view keyword, const json::value& v);
  bool only_requires() const { return !required.empty() && properties.empty() && types == 0; }
  Found check_number(const json::value& value, const Place& at) const;
  Found check_string(const json::string& value, const Place& at) const;
  Found check_array(json::array& value, const Place& at) const;
  Found check_object(json::object& value, const Place& at) const;
  Found check_alternatives(json::value& value, const Place& at, const std::vector<Node>& nodes, bool exactly_one) const;
};

Schema::Node::Node(const json::object& source) {
  for (const auto& [key, value] : source) read(key, value);
  if (expected.empty() && types != 0) {
    std::vector<std::string> words;
    for (const auto& t : kTypes) {
      if ((types & t.type) != 0 && t.type != kNull) words.emplace_back(t.words);
    }
    expected = joined(words, " or ");
  }
}

void Schema::Node::read(std::string_view keyword, const json::value& v) {
  const auto type_of = [](const json::value& name) -> unsigned {
    for (const auto& t : kTypes) {
      if (name.is_string() && name.get_string() == t.keyword) return t.type;
    }
    bad_schema("unknown type");
  };
  const auto nodes = [&v] {
    std::vector<Node> out;
    for (const auto& e : v.as_array()) out.emplace_back(e.as_object());
    return out;
  };
  const auto size = [&v] { return v.to_number<std::size_t>(); };
  if (keyword == "type") {
    if (v.is_array()) {
      for (const auto& e : v.get_array()) types |= type_of(e);
    } else {
      types = type_of(v);
    }
  } else if (keyword == "x-expected") {
    expected = std::string(v.as_string());
  } else if (keyword == "required") {
    for (const auto& e : v.as_array()) required.emplace_back(e.as_string());
  } else if (keyword == "properties") {
    for (const auto& [name, node] : v.as_object()) properties.emplace_back(name, Node(node.as_object()));
  } else if (keyword == "items") {
    items = std::make_unique<Node>(v.as_object());
  } else if (keyword == "additionalProperties") {
    others = std::make_unique<Node>(v.as_object());
  } else if (keyword == "minProperties") {
    min_properties = size();
  } else if (keyword == "maxProperties") {
    max_properties = size();
  } else if (keyword == "x-ignored") {
    ignored = v.as_bool();
  } else if (keyword == "enum") {
    for (const auto& e : v.as_array()) allowed.push_back(e);
  } else if (keyword == "minimum") {
    minimum = v.to_number<double>();
  } else if (keyword == "maximum") {
    maximum = v.to_number<double>();
  } else if (keyword == "minLength") {
    min_length = size();
  } else if (keyword == "maxLength") {
    max_length = size();
  } else if (keyword == "minItems") {
    min_items = size();
  } else if (keyword == "maxItems") {
    max_items = size();
  } else if (keyword == "oneOf") {
    one_of = nodes();
  } else if (keyword == "anyOf") {
    any_of = nodes();
  } else if (keyword == "default") {
    fallback = v;
  } else if (keyword != "title" && keyword != "description") {
    bad_schema("keyword " + std::string(keyword));
  }
}

Found Schema::Node::check(json::value& value, const Place& at) const {
  if (types != 0 && !has_type(value, types)) return at.fault("must be " + expected);
  if (!allowed.empty()) {
    bool found = false;
    for (const auto& e : allowed) found = found || e == value;
    if (!found) {
      std::vector<std::string> words;
      for (const auto& e : allowed) words.push_back(json::serialize(e));
      return at.fault("must be " + joined(words, " or "), true);
    }
  }
  Found found;
  if (value.is_number()) {
    found = check_number(value, at);
    if (!found && (types & kInteger) != 0 && value.is_double() && is_integral(value) &&
        std::abs(value.get_double()) < 9e15) {
      value = static_cast<std::int64_t>(value.get_double());
    }
  } else if (value.is_string()) {
    found = check_string(value.get_string(), at);
  } else if (value.is_array()) {
    found = check_array(value.get_array(), at);
  } else if (value.is_object()) {
    found = check_object(value.get_object(), at);
  }
  if (!found && !one_of.empty()) found = check_alternatives(value, at, one_of, true);
  if (!found && !any_of.empty()) found = check_alternatives(value, at, any_of, false);
  return found;
}

Found Schema::Node::check_number(const json::value& value, const Place& at) const {
  const double v = value.to_number<double>();
  if (!std::isfinite(v)) return at.fault("must be a finite number");
  const bool low = minimum && v < *minimum;
  const bool high = maximum && v > *maximum;
  if (!low && !high) return {};
  if (minimum && maximum) {
    return at.fault("must be between " + number_words(*minimum) + " and " + number_words(*maximum));
  }
  return at.fault(low ? "must be at least " + number_words(*minimum) : "must be at most " + number_words(*maximum));
}

Found Schema::Node::check_string(const json::string& value, const Place& at) const {
  if (!min_length && !max_length) return {};
  const std::size_t n = characters(value);
  if (min_length && n < *min_length) {
    return at.fault(*min_length == 1 ? "must not be empty"
                                     : "must have at least " + count_of(*min_length, "character"));
  }
  if (max_length && n > *max_length) {
    return at.fault("must have at most " + count_of(*max_length, "character") + " (it has " + std::to_string(n) + ")");
  }
  return {};
}

Found Schema::Node::check_array(json::array& value, const Place& at) const {
  if (min_items && value.size() < *min_items) return at.fault("must have at least " + count_of(*min_items, "item"));
  if (max_items && value.size() > *max_items) {
    return at.fault("must have at most " + count_of(*max_items, "item") + " (it has " + std::to_string(value.size()) +
                    ")");
  }
  if (!items) return {};
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (auto found = items->check(value[i], at.item(i))) return found;
  }
  return {};
}

Found Schema::Node::check_object(json::object& value, const Place& at) const {
  for (const auto& [name, node] : properties) {
    if (auto* const v = value.if_contains(name)) {
      if (auto found = node.check(*v, at.property(name))) return found;
    }
  }
  if (min_properties && value.size() < *min_properties) {
    return at.fault("must have at least " + count_of(*min_properties, "member"));
  }
  if (max_properties && value.size() > *max_properties) {
    return at.fault("must have at most " + count_of(*max_properties, "member") + " (it has " +
                    std::to_string(value.size()) + ")");
  }
  if (others) {
    for (auto& member : value) {
      if (property(member.key()) != nullptr) continue;
      if (auto found = others->check(member.value(), at.property(shown(member.key())))) return found;
    }
  }
  // After the properties, so that an alternative whose enum does not fit is known by its enum.
  for (const auto& name : required) {
    if (!value.contains(name)) return at.property(name).fault("is required");
  }
  for (const auto& [name, node] : properties) {
    if (node.fallback && !value.contains(name)) value[name] = *node.fallback;
  }
  return {};
}

Found Schema::Node::check_alternatives(json::value& value, const Place& at, const std::vector<Node>& nodes,
                                       bool exactly_one) const {
  Found best;
  std::size_t matches = 0;
  bool only_names = true;
  std::vector<std::string> names;
  for (const auto& node : nodes) {
    auto found = node.check(value, at);
    only_names = only_names && node.only_requires();
    if (node.only_requires()) names.push_back(joined(node.required, " and "));
    if (!found) {
      ++matches;
    } else if (!best || explains_better(*found, *best)) {
      best = std::move(found);
    }
  }
  if (matches == 1 || (matches > 1 && !exactly_one)) return {};
  if (only_names) {
    return at.fault(matches == 0 ? "one of " + joined(names, " and ") + " is required"
                                 : "only one of " + joined(names, " and ") + " may be given");
  }
  if (matches > 1) return at.fault("matches more than one of its alternatives");
  return best;
}

Schema::Schema(const json::object& source) {
  try {
    root_ = std::make_unique<Node>(source);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    bad_schema("a keyword's value has the wrong type");
  }
}
Schema::Schema(Schema&&) noexcept = default;
Schema& Schema::operator=(Schema&&) noexcept = default;
Schema::~Schema() = default;

std::optional<Violation> Schema::check(json::value& value) const {
  if (auto found = root_->check(value, {})) return std::move(found->violation);
  return {};
}

std::vector<std::string> Schema::unused(const json::object& value) const {
  std::vector<std::string> names;
  for (const auto& member : value) {
    const auto* const node = root_->property(member.key());
    if (node == nullptr || (node->ignored && !member.value().is_null())) names.emplace_back(member.key());
  }
  return names;
}

bool Schema::names(std::string_view property) const { return root_->property(property) != nullptr; }

}  // namespace glia::catalog
