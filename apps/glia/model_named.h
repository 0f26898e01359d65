// A model that a person named: found, or said what was meant.
#pragma once

#include <string>

#include "catalog/catalog.h"

namespace glia::cli {

/// By id or alias. Errors: std::runtime_error naming the nearest ids.
const catalog::ModelEntry& model_named(const catalog::Catalog& catalog, const std::string& id);

}  // namespace glia::cli
