// Choosing and forcing an instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.h"
#include "kernels/cpu_isa.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

/// GLIA_CPU set for a scope, put back afterwards.
class Forced {
 public:
  explicit Forced(const char* value) {
    if (const char* before = std::getenv("GLIA_CPU")) before_ = before;
    if (value != nullptr) {
      setenv("GLIA_CPU", value, 1);
    } else {
      unsetenv("GLIA_CPU");
    }
  }
  ~Forced() {
    if (before_) {
      setenv("GLIA_CPU", before_->c_str(), 1);
    } else {
      unsetenv("GLIA_CPU");
    }
  }

 private:
  std::optional<std::string> before_;
};

TEST(Isa, TheBestIsTakenUnlessOneIsForced) {
  {
    const Forced none(nullptr);
    EXPECT_EQ(choose_isa("").name, available_isas().front());
  }
  for (const std::string_view isa : available_isas()) {
    const Forced forced(std::string(isa).c_str());
    EXPECT_EQ(make_cpu_device({})->name(), "cpu " + std::string(isa));
    EXPECT_EQ(choose_isa("").name, isa);
  }
  EXPECT_EQ(available_isas().back(), "baseline");
}

TEST(Isa, AnOptionBeatsTheEnvironment) {
  const Forced forced(std::string(available_isas().front()).c_str());
  EXPECT_EQ(choose_isa("baseline").name, "baseline");
}

TEST(Isa, AnUnknownOneIsAnError) {
  const Forced forced("avx9000");
  try {
    make_cpu_device({});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_input);
    EXPECT_NE(e.message().find("avx9000"), std::string::npos);
    EXPECT_NE(e.message().find("baseline"), std::string::npos);
  }
}

TEST(Isa, OneThatThisCpuLacksIsAnError) {
  const auto isas = available_isas();
  for (const Isa& isa : built_isas()) {
    if (std::find(isas.begin(), isas.end(), isa.name) != isas.end()) continue;
    EXPECT_THROW(choose_isa(isa.name), Error);
  }
}

#if defined(__aarch64__)
constexpr bool kBaselineFuses = true;
#else
constexpr bool kBaselineFuses = false;  // SSE2
#endif

/// Forcing changes which code runs, not just a name: each set has its own kernels, and only a baseline that cannot fuse
/// rounds otherwise. The others share lanes, orders and fused operations, and so every bit.
TEST(Isa, ForcedSetsRunTheirOwnKernels) {
  const test::Weights w(tensor::DType::q4_1, 64, 512, 1);
  const tensor::View view = w.view();
  const auto x = test::random_floats(9 * 512, 2);
  const auto product = [&](std::string_view isa, test::Way way) {
    const Forced forced(std::string(isa).c_str());
    const auto d = test::cpu({"", way});
    const auto matrix = d->load_matrix({&view, 1});
    const test::Owned in(*d, 9, 512, x);
    const test::Owned out(*d, 9, 64);
    d->matmul(out, *matrix, in);
    return out.values();
  };
  const auto isas = available_isas();
  for (const test::Way way : {test::Way::exact, test::Way::int16, test::Way::int8}) {
    for (const std::string_view isa : isas) {
      for (const std::string_view other : isas) {
        if (isa == other) continue;
        EXPECT_NE(choose_isa(isa).table->matmul_fast, choose_isa(other).table->matmul_fast);
        EXPECT_NE(choose_isa(isa).table->matmul_int8, choose_isa(other).table->matmul_int8);
        const bool same = product(isa, way) == product(other, way);
        EXPECT_EQ(same, kBaselineFuses || (isa != "baseline" && other != "baseline")) << isa << " " << other;
      }
    }
  }
}

}  // namespace
}  // namespace glia::kernels
