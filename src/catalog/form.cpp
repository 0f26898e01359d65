#include "catalog/form.h"

#include "base/error.h"

namespace glia::catalog {
namespace {

constexpr int kDeepestRef = 8;
constexpr std::string_view kRef = "#/$defs/";

[[noreturn]] void inconsistent(std::string_view name, std::string_view what) {
  throw Error(ErrorCode::internal,
              "the catalogue is inconsistent: schemas/" + std::string(name) + ".json " + std::string(what));
}

const json::object& file(const Files& files, std::string_view name) {
  const auto it = files.find("schemas/" + std::string(name) + ".json");
  if (it == files.end()) inconsistent(name, "is missing");
  return it->second.as_object();
}

/// `own` over `base`; of the members named here, the two objects' members are put together.
json::object over(json::object base, const json::object& own, std::initializer_list<std::string_view> together) {
  for (const auto& [key, value] : own) {
    auto* const there = base.if_contains(key);
    bool merged = false;
    for (const auto name : together) merged = merged || (key == name && there != nullptr);
    if (!merged) {
      base[key] = value;
      continue;
    }
    for (const auto& [property, schema] : value.as_object()) there->as_object()[property] = schema;
  }
  return base;
}

json::value resolved(const json::value& from, const json::object& definitions, std::string_view name, int depth) {
  if (const auto* const array = from.if_array()) {
    json::array out;
    for (const auto& item : *array) out.push_back(resolved(item, definitions, name, depth));
    return out;
  }
  const auto* object = from.if_object();
  if (object == nullptr) return from;
  json::object whole;
  if (const auto* const ref = object->if_contains("$ref")) {
    const std::string_view target = ref->as_string();
    const auto* const part = target.starts_with(kRef) ? definitions.if_contains(target.substr(kRef.size())) : nullptr;
    if (part == nullptr || depth >= kDeepestRef) inconsistent(name, "names no part of itself: " + std::string(target));
    whole = over(part->as_object(), *object, {});
    whole.erase("$ref");
    return resolved(whole, definitions, name, depth + 1);
  }
  for (const auto& [key, value] : *object) {
    if (key != "$defs") whole[key] = resolved(value, definitions, name, depth);
  }
  return whole;
}

json::value resolved(const json::object& schema, std::string_view name) {
  const auto* const definitions = schema.if_contains("$defs");
  static const json::object kNone;
  return resolved(schema, definitions != nullptr ? definitions->as_object() : kNone, name, 0);
}

json::object source(const Files& files, std::string_view name, int depth = 0) {
  const auto& own = file(files, name);
  const auto* const extends = own.if_contains("extends");
  if (extends == nullptr) return own;
  if (depth >= kDeepestRef) inconsistent(name, "extends too many others");
  auto whole = source(files, std::string_view(extends->as_string()), depth + 1);
  if (const auto* const input = own.if_contains("input")) {
    whole["input"] = over(whole.at("input").as_object(), input->as_object(), {"properties", "$defs"});
  }
  for (const auto& [key, value] : own) {
    if (key != "extends" && key != "input") whole[key] = value;
  }
  return whole;
}

Typical read_typical(const json::object& from) {
  Typical out;
  for (const auto& [key, value] : from) {
    if (key == "words") {
      out.words = std::string(value.as_string());
    } else {
      out.counts.emplace(key, value.to_number<double>());
    }
  }
  return out;
}

}  // namespace

Form read_form(const Files& files, std::string_view name) {
  const auto whole = source(files, name);
  Form form;
  form.title = std::string(whole.at("title").as_string());
  form.runs = whole.at("runs").as_bool();
  if (const auto* const raw = whole.if_contains("raw_body")) form.raw_body = std::string(raw->as_string());
  form.typical = read_typical(whole.at("typical").as_object());
  form.input = resolved(whole.at("input").as_object(), name).as_object();
  form.output = resolved(whole.at("output").as_object(), name);
  form.examples = whole.at("examples").as_array();
  return form;
}

json::object with_overrides(json::object input, const json::object& overrides) {
  auto& properties = input.at("properties").as_object();
  for (const auto& [name, keywords] : overrides) {
    auto* const property = properties.if_contains(name);
    if (property == nullptr) {
      throw Error(ErrorCode::internal, "the catalogue is inconsistent: a model bounds `" + std::string(name) +
                                           "`, which its form does not have");
    }
    for (const auto& [keyword, value] : keywords.as_object()) property->as_object()[keyword] = value;
  }
  return input;
}

}  // namespace glia::catalog
