#include "model_named.h"

#include <stdexcept>

namespace glia::cli {

const catalog::ModelEntry& model_named(const catalog::Catalog& catalog, const std::string& id) {
  if (const auto* const entry = catalog.find(id)) return *entry;
  std::string message = "there is no model " + id + " (`glia list` shows all); the nearest:";
  for (const auto& near : catalog.nearest(id, 3)) message += "\n  " + near;
  throw std::runtime_error(message);
}

}  // namespace glia::cli
