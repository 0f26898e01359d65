// Which instruction set's kernels run. Chosen once, when a device is made.
#pragma once

#include <span>
#include <string_view>

#include "kernels/kernel_table.h"

namespace glia::kernels {

struct Isa {
  std::string_view name;         ///< "avx512"
  std::string_view device_name;  ///< "cpu avx512"
  const KernelTable* table;
  bool (*runs_here)();  ///< whether this CPU, and its operating system, have it
};

/// What this program was built with, best first; the last, "baseline", runs anywhere. A file per architecture.
std::span<const Isa> built_isas();

/// `name`: as CpuOptions::isa. Errors: throws glia::Error(invalid_input) for one that is unknown or that this CPU
/// lacks.
const Isa& choose_isa(std::string_view name);

}  // namespace glia::kernels
