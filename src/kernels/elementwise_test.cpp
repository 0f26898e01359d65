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
  std::unique_ptr<Device> device_ = test::cpu({GetParam(), test::Way::exact});
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

/// x on both devices, changed by op; what the CPU made and what the reference made.
struct Results {
  std::vector<float> got, want;
};
template <class Op>
Results on_both(Device& device, Device& reference, std::int64_t rows, std::int64_t cols, const std::vector<float>& x,
                Op op) {
  Results out;
  for (Device* d : {&device, &reference}) {
    const Owned in(*d, rows, cols, x);
    op(*d, in);
    (d == &device ? out.got : out.want) = in.values();
  }
  return out;
}

/// As RmsNorm, over one head.
TEST_P(Elementwise, HeadNorm) {
  for (const std::int64_t dim : {1, 10, 16, 36, 96, 256}) {
    const std::vector<float> gain = test::random_floats(static_cast<std::size_t>(dim), 2);
    const auto r = on_both(*device_, *reference_, 4, 3 * dim,
                           test::random_floats(static_cast<std::size_t>(12 * dim), 1), [&](Device& d, Tensor x) {
                             const Owned g(d, 1, dim, gain);
                             d.head_norm(x.slice_cols(dim, 2 * dim), static_cast<std::int32_t>(dim), {g.data(), 1e-6F});
                           });
    const double relative = (static_cast<double>(dim) / 32 + 8) * kUnit;
    for (std::size_t j = 0; j < r.got.size(); j++) {
      ASSERT_NEAR(r.got[j], r.want[j], relative * std::fabs(static_cast<double>(r.want[j])) + 1e-38);
    }
  }
}

/// With u = 2^-24: the mean carries (cols / 16 + 5) u of the largest |x|, twice that where it is subtracted; the
/// deviations' root as in RmsNorm; the weight's product and the bias' sum one each.
TEST_P(Elementwise, LayerNorm) {
  for (const std::int64_t cols : {1, 7, 16, 50, 384, 1000}) {
    for (const bool with_bias : {true, false}) {
      auto x = test::random_floats(static_cast<std::size_t>(3 * cols), 1);
      for (float& v : x) v += 2.0F;  // a mean to take away
      const auto weight = test::random_floats(static_cast<std::size_t>(cols), 2);
      const auto bias = test::random_floats(static_cast<std::size_t>(cols), 3);
      const auto r = on_both(*device_, *reference_, 3, cols, x, [&](Device& d, Tensor t) {
        const Owned w(d, 1, cols, weight);
        const Owned b(d, 1, cols, bias);
        d.layer_norm(t, t, w.data(), with_bias ? b.data() : nullptr, 1e-5F);
      });
      const double sums = static_cast<double>(cols) / 16 + 8;
      // Deviations of one column are zero: what is left of the mean's error is blown up by 1 / sqrt(eps).
      const double factor = cols == 1 ? 400 : 3;
      for (std::size_t j = 0; j < r.got.size(); j++) {
        const double w = std::fabs(static_cast<double>(weight[j % static_cast<std::size_t>(cols)]));
        ASSERT_NEAR(r.got[j], r.want[j], (2 * sums * factor * 6 * w + 4 * std::fabs(r.want[j])) * kUnit) << cols;
      }
    }
  }
}

/// exp 4 u, its sum, the quotient and the product one each; 1 + exp(-s) amplifies nothing: 8 u relative. gelu_tanh's s
/// carries 7 u of itself, which exp(-s) turns into 7 |s| u. gelu's a carries 2 u and its square 5 u, and so erfc(a)
/// 5 a^2 u = 2.5 x^2 u, and 12 u of its polynomial and products (as the baseline rounds them), times |x| / 2 at most.
/// clamped_swiglu's s carries 2 u, and up + 1 may cancel: some u of the gate alone.
TEST_P(Elementwise, Gates) {
  for (const Gate gate : {Gate::silu, Gate::gelu_tanh, Gate::gelu, Gate::clamped_swiglu}) {
    for (const std::int64_t half : {1, 15, 16, 100, 4000}) {
      auto x = test::random_floats(static_cast<std::size_t>(4 * half), 1, half == 4000 ? 2.0F : 8.0F);
      x[0] = 60.0F;
      if (half > 3) x[1] = -60.0F, x[2] = 0.0F, x[3] = 1e-20F;
      const auto allowed = [&](std::size_t j, float want) {
        const auto cols = static_cast<std::size_t>(half);
        const auto v = std::fabs(static_cast<double>(x[j / cols * 2 * cols + j % cols]));
        const auto up = std::fabs(static_cast<double>(x[j / cols * 2 * cols + cols + j % cols]));
        const double w = std::fabs(static_cast<double>(want));
        if (gate == Gate::silu) return 8 * kUnit * w + 1e-30;
        if (gate == Gate::clamped_swiglu) return (11 + 2 * 1.702 * v) * kUnit * (w + v) + 1e-30;
        if (gate == Gate::gelu_tanh) return (8 + 7 * 1.6 * (v + 0.045 * v * v * v)) * kUnit * w + 1e-30;
        return (4 * w + (12 + 2.5 * v * v) * v * up * std::erfc(v / std::sqrt(2.0)) / 2) * kUnit + 1e-30;
      };
      std::vector<float> results[2];
      Device* const devices[2] = {device_.get(), reference_.get()};
      for (int i = 0; i < 2; i++) {
        const Owned in(*devices[i], 2, 2 * half, x);
        const Owned out(*devices[i], 2, half);
        devices[i]->gate(out, in, gate);
        results[i] = out.values();
      }
      for (std::size_t j = 0; j < results[0].size(); j++) {
        ASSERT_NEAR(results[0][j], results[1][j], allowed(j, results[1][j])) << half << " " << j;
      }
      if (gate == Gate::clamped_swiglu) continue;  // not a function of one row
      // Alone: the same function, up = 1.
      auto ones = x;
      for (std::size_t j = 0; j < x.size(); j++) {
        if (j / static_cast<std::size_t>(half) % 2 == 1) ones[j] = 1.0F;
      }
      const Owned gated(*device_, 2, 2 * half, ones);
      const Owned out(*device_, 2, half);
      device_->gate(out, gated, gate);
      const Owned alone(*device_, 2, 2 * half, x);
      const Tensor left = Tensor(alone).slice_cols(0, half);
      device_->activate(left, gate);
      const auto a = alone.values();
      const auto b = out.values();
      for (std::size_t j = 0; j < b.size(); j++) {
        const auto cols = static_cast<std::size_t>(half);
        ASSERT_EQ(a[j / cols * 2 * cols + j % cols], b[j]);
        ASSERT_EQ(a[j / cols * 2 * cols + cols + j % cols], x[j / cols * 2 * cols + cols + j % cols]);
      }
    }
  }
}

/// tanh 6 u (8 without fused multiply-add), 1 / cap and the products three more, relative at any size.
TEST_P(Elementwise, Softcap) {
  for (const float cap : {30.0F, 50.0F, 1.0F, 0.1F}) {
    auto x = test::random_floats(333, 1, cap);
    for (float& v : test::random_floats(300, 2, 1e-3F * cap)) x.push_back(v);
    for (const float v : {0.0F, -0.0F, 1e-30F, 1e30F, -1e30F, INFINITY}) x.push_back(v);
    const auto r = on_both(*device_, *reference_, 3, 213, x, [&](Device& d, Tensor t) { d.softcap(t, cap); });
    for (std::size_t j = 0; j < x.size(); j++) {
      ASSERT_NEAR(r.got[j], r.want[j], 11 * kUnit * std::fabs(static_cast<double>(r.want[j]))) << x[j];
      ASSERT_LE(std::fabs(r.got[j]), cap);
    }
  }
}

/// One rounding each: equal.
TEST_P(Elementwise, ScaleAndAdd) {
  for (const std::int64_t cols : {1, 16, 37, 5000}) {
    const auto x = test::random_floats(static_cast<std::size_t>(5 * cols), 1);
    const auto y = test::random_floats(static_cast<std::size_t>(5 * cols), 2);
    const auto r = on_both(*device_, *reference_, 5, cols, x, [&](Device& d, Tensor t) {
      const Owned other(d, 5, cols, y);
      d.scale(t, 0.3F);
      d.add(t, other);
    });
    EXPECT_EQ(r.got, r.want);
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
