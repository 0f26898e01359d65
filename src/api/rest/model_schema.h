// models/schema: JSON Schema of what a model takes and gives (the catalogue's), for every id, served or not.
#pragma once

#include <string_view>

#include "base/json.h"
#include "catalog/catalog.h"

namespace glia::api {

/// {"input": …, "output": …}. Errors: glia::Error(no_such_model).
json::object model_schema(const catalog::Catalog& catalog, std::string_view model);

}  // namespace glia::api
