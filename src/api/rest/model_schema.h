// models/schema: JSON Schema of a model's input (the catalogue's) and of the answers given here.
#pragma once

#include <string_view>

#include "base/json.h"
#include "catalog/catalog.h"

namespace glia::api {

/// {"input": …, "output": …}. Errors: glia::Error(no_such_model, not_served).
json::object model_schema(const catalog::Catalog& catalog, std::string_view model);

}  // namespace glia::api
