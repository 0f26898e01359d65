// What a family's reader makes of a file: the computation and where its weights lie.
// Thread rule: values.
#pragma once

#include <string>
#include <vector>

#include "models/decoder/config.h"
#include "models/decoder/names.h"

namespace glia::models::decoder {

struct Description {
  std::string architecture;  ///< as the file calls it, e.g. "llama"
  Config config;
  Names names;
  /// Tensors that may stand in the file and are rightly not used, and beginnings of such names.
  std::vector<std::string> unused = {};
  std::vector<std::string> unused_prefixes = {};
};

}  // namespace glia::models::decoder
