// What a person named, as weights of the hub.
#pragma once

#include <string>

#include "catalog/catalog.h"
#include "hub/reference.h"

namespace glia::cli {

/// "owner/name:Q4_K_M@revision" as it is; "@cf/…", with :file or @revision after it, as the repository that the
/// catalogue names for the id. Errors: as model_named(); std::runtime_error for an id whose repository is not known;
/// glia::Error(invalid_input) as hub::Reference.
hub::Reference hub_reference(const catalog::Catalog& catalog, const std::string& named);

}  // namespace glia::cli
