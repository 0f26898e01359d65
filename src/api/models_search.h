// models/search: the same list for the binding's models() and for REST.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "catalog/catalog.h"

namespace glia::api {

struct ModelPage {
  json::array models;              ///< [{id, source, name, description, task, tags, properties}]
  json::object info;               ///< result_info: {count, page, per_page, total_count, total_pages}
  std::vector<std::string> notes;  ///< query parameters that nobody knows, by name
};

/// Reads search, task, author, source, hide_experimental, page, per_page.
/// Errors: glia::Error(invalid_input) naming the parameter.
ModelPage search_models(const catalog::Catalog& catalog, const std::vector<std::pair<std::string, std::string>>& query);

/// "@cf/meta/llama" → "meta"; empty for an id of another form.
std::string_view author_of(std::string_view id);

}  // namespace glia::api
