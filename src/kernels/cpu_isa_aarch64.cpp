#include <asm/hwcap.h>
#include <sys/auxv.h>

#include <array>

#include "kernels/cpu_isa.h"

namespace glia::kernels {
namespace {

/// Optional from Armv8.2 on; Cortex-A72 and older have none.
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }

constexpr std::array<Isa, 2> kIsas = {{
    {"dotprod", "cpu dotprod", &dotprod::kTable, has_dotprod},
    {"baseline", "cpu baseline", &baseline::kTable, [] { return true; }},
}};

}  // namespace

std::span<const Isa> built_isas() { return kIsas; }

}  // namespace glia::kernels
