#include "engine/engine.h"

#include "engine/loader.h"

namespace glia::engine {

std::unique_ptr<Engine> make_engine(const EngineOptions& options, const Clock& clock) {
  return make_engine(
      options, clock,
      make_disk_loader(
          {.threads = options.threads, .math = options.math, .kv = options.kv_type, .activations = options.activations},
          {.folder = options.packed_cache}));
}

}  // namespace glia::engine
