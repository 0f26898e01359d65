// Row kernels on every instruction set against the float64 reference or the standard library.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/cpu_isa.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using test::kUnit;
using test::Owned;

class Elementwise : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<Device> device_ = test::cpu(GetParam(), MathMode::exact);
  std::unique_ptr<Device> reference_ = make_reference_device();
  const KernelTable& kernels_ = *choose_isa(GetParam()).table;
};

/// The bound that isa/exp.h derives: 4 u without fused multiply-add, relative.
TEST_P(Elementwise, ExpStaysWithinItsBound) {
  std::vector<float> x;
  for (float v = -87.0F; v <= 88.0F; v += 0.00037F) x.push_back(v);
  for (int i = -1000; i <= 1000; i++) x.push_back(static_cast<float>(i) * 0x1p-20F);
  std::vector<float> y(x.size());
  kernels_.exp(y.data(), x.data(), static_cast<std::int64_t>(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); i++) {
    const double want = std::exp(static_cast<double>(x[i]));
    worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - want) / want);
  }
  EXPECT_LE(worst, 4 * kUnit);
  const float edges[4] = {0.0F, -1000.0F, 1000.0F, -INFINITY};
  float out[4];
  kernels_.exp(out, edges, 4);
  EXPECT_EQ(out[0], 1.0F);
  EXPECT_LT(out[1], 2e-38F);
  EXPECT_GT(out[2], 1e38F);
  EXPECT_LT(out[3], 2e-38F);
}

TEST_P(Elementwise, HalfPrecisionRoundsToNearestAndSaturates) {
  std::vector<float> x = test::random_floats(4096, 1, 10.0F);
  for (const float v : test::random_floats(1024, 2, 1e-6F)) x.push_back(v);
  for (const float v : {0.0F, -0.0F, 65504.0F, -65504.0F, 1e9F, -1e9F, 0x1p-24F, 0x1p-25F, 0x1.8p-25F, 0x1p-14F,
                        2049.0F, 2051.0F, 65519.0F}) {
    x.push_back(v);
  }
  std::vector<std::uint16_t> got(x.size());
  kernels_.to_f16(got.data(), x.data(), static_cast<std::int64_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); i++) {
    const float clamped = std::min(65504.0F, std::max(-65504.0F, x[i]));
    ASSERT_EQ(got[i], tensor::f32_to_f16(clamped)) << x[i];
  }
}

/// The sum of squares in 16 lanes carries (cols / 16 + 5) u, halved by the root; 4 more for root, division and
/// products.
TEST_P(Elementwise, RmsNorm) {
  for (const std::int64_t cols : {1, 7, 16, 50, 576, 4096}) {
    const auto x = test::random_floats(static_cast<std::size_t>(3 * cols), 1);
    const auto gain = test::random_floats(static_cast<std::size_t>(cols), 2);
    std::vector<float> results[2];
    Device* const devices[2] = {device_.get(), reference_.get()};
    for (int i = 0; i < 2; i++) {
      const Owned in(*devices[i], 3, cols, x);
      const Owned g(*devices[i], 1, cols, gain);
      devices[i]->rms_norm(in, in, {g.data(), 1e-5F});
      results[i] = in.values();
    }
    const double relative = (static_cast<double>(cols) / 32 + 8) * kUnit;
    for (std::size_t j = 0; j < x.size(); j++) {
      ASSERT_NEAR(results[0][j], results[1][j], relative * std::fabs(static_cast<double>(results[1][j])) + 1e-38);
    }
  }
}

/// exp 4 u, its sum, the quotient and the product one each; more where 1 + exp(-x) amplifies nothing: 8 u relative.
TEST_P(Elementwise, SiluGate) {
  for (const std::int64_t half : {1, 15, 16, 100, 1536}) {
    auto x = test::random_floats(static_cast<std::size_t>(4 * half), 1, 8.0F);
    x[0] = 60.0F;
    if (half > 2) x[1] = -60.0F;
    std::vector<float> results[2];
    Device* const devices[2] = {device_.get(), reference_.get()};
    for (int i = 0; i < 2; i++) {
      const Owned in(*devices[i], 2, 2 * half, x);
      const Owned out(*devices[i], 2, half);
      devices[i]->silu_gate(out, in);
      results[i] = out.values();
    }
    for (std::size_t j = 0; j < results[0].size(); j++) {
      ASSERT_NEAR(results[0][j], results[1][j], 8 * kUnit * std::fabs(static_cast<double>(results[1][j])) + 1e-30);
    }
  }
}

/// Two products and a sum, cosine and sine rounded: 4 u of the pair's magnitude.
TEST_P(Elementwise, RopeOfBothLayouts) {
  for (const RopeLayout layout : {RopeLayout::halves, RopeLayout::interleaved}) {
    for (const std::int32_t dims : {64, 24, 6}) {
      std::vector<float> inv_freq;
      for (std::int32_t j = 0; j < dims / 2; j++) {
        inv_freq.push_back(std::pow(100000.0F, -2.0F * static_cast<float>(j) / static_cast<float>(dims)));
      }
      const std::vector<std::int32_t> positions = {0, 1, 5, 4095, 77, 2};
      const auto x = test::random_floats(6 * 3 * 64, 3);
      std::vector<float> results[2];
      Device* const devices[2] = {device_.get(), reference_.get()};
      for (int i = 0; i < 2; i++) {
        const Owned in(*devices[i], 6, 3 * 64, x);
        devices[i]->rope(in, 64, {layout, dims, inv_freq, 1.25F}, positions);
        results[i] = in.values();
      }
      for (std::size_t j = 0; j < x.size(); j++) ASSERT_NEAR(results[0][j], results[1][j], 4 * kUnit * 1.25 * 6) << j;
    }
  }
}

/// Another batch, other frequencies, another scale: the remembered angles are not those.
TEST_P(Elementwise, RopeForgetsOldAngles) {
  const std::vector<float> slow = {0.5F, 0.25F};
  const std::vector<float> fast = {1.0F, 0.25F};
  const std::vector<std::int32_t> p1 = {3, 4};
  const std::vector<std::int32_t> p2 = {3, 5};
  const auto x = test::random_floats(8, 3);
  const auto rotate = [&](Device& d, const std::vector<float>& f, const std::vector<std::int32_t>& p, float scale) {
    const Owned in(d, 2, 4, x);
    d.rope(in, 4, {RopeLayout::halves, 4, f, scale}, p);
    return in.values();
  };
  rotate(*device_, slow, p1, 1.0F);
  for (const auto& [f, p, scale] :
       {std::tuple(slow, p2, 1.0F), std::tuple(fast, p2, 1.0F), std::tuple(fast, p2, 2.0F)}) {
    const auto got = rotate(*device_, f, p, scale);
    const auto want = rotate(*reference_, f, p, scale);
    for (std::size_t j = 0; j < x.size(); j++) EXPECT_NEAR(got[j], want[j], 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Elementwise, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace glia::kernels
