// The forms of tasks, read from catalog/schemas/*.json: what goes in, what comes out, whether this version runs it. A
// form may extend another (its properties, $defs and keywords first, the other's after), and may name a part of itself
// by
// {"$ref": "#/$defs/name"}; both are resolved here, so that a schema stands whole.
// Thread rule: values. Errors: glia::Error(internal) for a file that is inconsistent.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "catalog/price.h"

namespace glia::catalog {

/// The catalogue's files by path below catalog/, parsed.
using Files = std::map<std::string, json::value, std::less<>>;

struct Form {
  std::string title;     ///< the task, told from other forms of it: "Text Generation with pictures"
  bool runs = false;     ///< whether this version has the task
  std::string raw_body;  ///< "audio/*": the input may come as a body of this type instead; empty: it may not
  Typical typical;
  json::object input;    ///< JSON Schema, whole
  json::value output;    ///< JSON Schema of the answers
  json::array examples;  ///< inputs that must be accepted
};

/// `name`: "text-generation", for schemas/text-generation.json.
Form read_form(const Files& files, std::string_view name);

/// The form's input with a model's own bounds and defaults: {"temperature": {"default": 0.15}}. Errors: as above, for a
/// property that the form does not have.
json::object with_overrides(json::object input, const json::object& overrides);

}  // namespace glia::catalog
