#include "kernels/cpu_isa.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/device.h"

namespace glia::kernels {
namespace {

std::string known_names() {
  std::string names;
  for (const Isa& isa : built_isas()) names += (names.empty() ? "" : ", ") + std::string(isa.name);
  return names;
}

}  // namespace

const Isa& choose_isa(std::string_view name) {
  std::string_view wanted = name;
  if (wanted.empty()) {
    const char* forced = std::getenv("GLIA_CPU");
    if (forced != nullptr) wanted = forced;
  }
  for (const Isa& isa : built_isas()) {
    if (!wanted.empty() && isa.name != wanted) continue;
    if (isa.runs_here()) return isa;
    if (!wanted.empty()) throw Error(ErrorCode::invalid_input, "this CPU cannot run " + std::string(wanted));
  }
  throw Error(ErrorCode::invalid_input,
              "unknown instruction set " + std::string(wanted) + "; known are " + known_names());
}

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (const Isa& isa : built_isas()) {
    if (isa.runs_here()) names.push_back(isa.name);
  }
  return names;
}

}  // namespace glia::kernels
