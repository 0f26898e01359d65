// Which instruction set's kernels run. Chosen once, when a device is made.
#pragma once

#include <string_view>

#include "kernels/kernel_table.h"

namespace glia::kernels {

struct Isa {
  std::string_view name;         ///< "avx512"
  std::string_view device_name;  ///< "cpu avx512"
  const KernelTable* table;
};

/// `name`: as CpuOptions::isa. Errors: throws glia::Error(invalid_input) for one that is unknown or that this CPU
/// lacks.
const Isa& choose_isa(std::string_view name);

}  // namespace glia::kernels
