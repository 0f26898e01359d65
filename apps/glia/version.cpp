#include "version.h"

#include <iostream>

#include "base/json.h"
#include "commands.h"
#include "kernels/device.h"

namespace glia::cli {

int version(bool as_json) {
  const auto isas = kernels::available_isas();
  const auto device = kernels::make_cpu_device({});
  if (as_json) {
    json::array sets;
    for (const auto isa : isas) sets.emplace_back(isa);
    std::cout << json::serialize(
                     json::object{{"name", "glia"}, {"version", kVersion}, {"device", device->name()}, {"isas", sets}})
              << "\n";
    return 0;
  }
  std::cout << "glia " << kVersion << "\n" << device->name() << "  (this CPU can run";
  for (const auto isa : isas) std::cout << " " << isa;
  std::cout << "; GLIA_CPU forces one)\n";
  return 0;
}

}  // namespace glia::cli
