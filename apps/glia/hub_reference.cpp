#include "hub_reference.h"

#include <algorithm>
#include <stdexcept>

#include "model_named.h"

namespace glia::cli {

hub::Reference hub_reference(const catalog::Catalog& catalog, const std::string& named) {
  if (!named.starts_with('@')) return hub::Reference::parse(named);
  const auto end = std::min(named.find_first_of(":@", 1), named.size());
  const auto& entry = model_named(catalog, named.substr(0, end));
  if (entry.full_weights.empty()) {
    throw std::runtime_error("the repository of " + entry.id +
                             " is not known; name one of the hub: owner/name, owner/name:Q4_K_M");
  }
  return hub::Reference::parse(entry.full_weights + named.substr(end));
}

}  // namespace glia::cli
