// Unguessable ids.
#pragma once

#include <string>

namespace glia::vectorize {

/// A random UUID (version 4). Thread rule: any thread.
std::string random_uuid();

}  // namespace glia::vectorize
