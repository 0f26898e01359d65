#include "kernels/cpu_isa.h"

#include <cpuid.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/device.h"

namespace glia::kernels {
namespace {

// Best first.
constexpr std::array<Isa, 3> kIsas = {{
    {"avx512", "cpu avx512", &avx512::kTable},
    {"avx2", "cpu avx2", &avx2::kTable},
    {"baseline", "cpu baseline", &baseline::kTable},
}};

/// Leaf 1, ecx bit 29; Clang 16's __builtin_cpu_supports does not know the name.
bool has_f16c() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

/// libgcc's checks ask the operating system too whether it keeps the wide registers.
bool runs_here(std::string_view name) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (name == "avx2") return avx2;
  if (name == "avx512") {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  }
  return true;
}

std::string known_names() {
  std::string names;
  for (const Isa& isa : kIsas) names += (names.empty() ? "" : ", ") + std::string(isa.name);
  return names;
}

}  // namespace

const Isa& choose_isa(std::string_view name) {
  std::string_view wanted = name;
  if (wanted.empty()) {
    const char* forced = std::getenv("GLIA_CPU");
    if (forced != nullptr) wanted = forced;
  }
  for (const Isa& isa : kIsas) {
    if (!wanted.empty() && isa.name != wanted) continue;
    if (runs_here(isa.name)) return isa;
    if (!wanted.empty()) throw Error(ErrorCode::invalid_input, "this CPU cannot run " + std::string(wanted));
  }
  throw Error(ErrorCode::invalid_input,
              "unknown instruction set " + std::string(wanted) + "; known are " + known_names());
}

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (const Isa& isa : kIsas) {
    if (runs_here(isa.name)) names.push_back(isa.name);
  }
  return names;
}

}  // namespace glia::kernels
