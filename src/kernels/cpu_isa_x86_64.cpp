#include <cpuid.h>

#include <array>

#include "kernels/cpu_isa.h"

namespace glia::kernels {
namespace {

/// Leaf 1, ecx bit 29; Clang 16's __builtin_cpu_supports does not know the name.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

// libgcc's checks ask the operating system too whether it keeps the wide registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

constexpr std::array<Isa, 3> kIsas = {{
    {"avx512", "cpu avx512", &avx512::kTable, has_avx512},
    {"avx2", "cpu avx2", &avx2::kTable, has_avx2},
    {"baseline", "cpu baseline", &baseline::kTable, [] { return true; }},
}};

}  // namespace

std::span<const Isa> built_isas() { return kIsas; }

}  // namespace glia::kernels
