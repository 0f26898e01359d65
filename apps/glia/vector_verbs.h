// `glia vectorize …`: wrangler's verbs and flags for Vectorize, on a running glia serve.
#pragma once

#include <functional>

#include "settings.h"

namespace CLI {
class App;
}

namespace glia::cli {

/// `address` adds --host and --port to a subcommand; `verb` is what main() runs.
void add_vector_verbs(CLI::App& app, GivenSettings& given, const std::function<void(CLI::App&)>& address,
                      std::function<int()>& verb);

}  // namespace glia::cli
