// Float weights that may be rounded, on every instruction set: what is kept of them, their products against float64
// sums of what was kept, and bits that depend on a row alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "kernels/packed_format.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using test::Owned;
using test::Way;
using test::Weights;

constexpr DType kFloats[] = {DType::f32, DType::f16, DType::bf16};

std::unique_ptr<Matrix> rounded(Device& device, const Weights& w) {
  const tensor::View view = w.view();
  return device.load_matrix({&view, 1}, Rounding::allowed);
}

std::unique_ptr<Matrix> kept(Device& device, const Weights& w) {
  const tensor::View view = w.view();
  return device.load_matrix({&view, 1});
}

/// Every row as it was packed, [rows][cols].
std::vector<float> packed_values(Device& device, const Matrix& matrix) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(matrix.rows()));
  std::iota(ids.begin(), ids.end(), 0);
  const Owned out(device, matrix.rows(), matrix.cols());
  device.embed(out, matrix, ids);
  return out.values();
}

std::vector<float> product(Device& device, const Matrix& matrix, const std::vector<float>& x) {
  const auto n = static_cast<std::int64_t>(x.size()) / matrix.cols();
  const Owned in(device, n, matrix.cols(), x);
  const Owned out(device, n, matrix.rows());
  device.matmul(out, matrix, in);
  return out.values();
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

float largest(const float* values, std::int64_t n) {
  float most = 0;
  for (std::int64_t k = 0; k < n; k++) most = std::max(most, std::fabs(values[k]));
  return most;
}

/// Largest error of one output of word weights w, as packed, times x. Every x is rounded to a multiple of s = max|x| /
/// 8191 of its 128 columns: variance sum(w^2 s^2) / 12, six standard deviations of which are allowed, as
/// test::tolerance says. The sum of a segment is exact; then round its conversion, both scales (a quotient each), their
/// product, the fused sum over segments, bias and output: cols / 128 + 8 roundings, of sum|x w| that the rounding of x
/// may have made one part in 100 larger.
double tolerance(const float* x, const float* w, std::int64_t cols) {
  double variance = 0;
  double magnitude = 0;
  for (std::int64_t first = 0; first < cols; first += kWordCols) {
    const std::int64_t n = std::min<std::int64_t>(kWordCols, cols - first);
    const double step = static_cast<double>(largest(x + first, n)) / kMostWord;
    for (std::int64_t k = first; k < first + n; k++) {
      variance += std::pow(static_cast<double>(w[k]) * step, 2) / 12;
      magnitude += std::fabs(static_cast<double>(w[k]) * static_cast<double>(x[k]));
    }
  }
  const double roundings = static_cast<double>(cols) / kWordCols + 8;
  return 6 * std::sqrt(variance) + 1.01 * roundings * test::kUnit * magnitude;
}

class Words : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<Device> device(std::int32_t threads = 2) const {
    return test::cpu({GetParam(), Way::int16}, threads);
  }
};

/// To the nearest multiple of max|w| / 2047 of its 128 columns; the factors and the product round thrice more.
TEST_P(Words, KeepsTwelveBitsOfEveryWeight) {
  const auto d = device();
  for (const DType type : kFloats) {
    for (const std::int64_t cols : {32, 96, 128, 160, 384}) {
      const Weights w(type, 21, cols, 1, 0.05F);
      const auto matrix = rounded(*d, w);
      const std::vector<float> got = packed_values(*d, *matrix);
      for (std::int64_t r = 0; r < w.rows; r++) {
        const std::vector<float> want = w.row(r);
        for (std::int64_t k = 0; k < cols; k++) {
          const std::int64_t first = k / kWordCols * kWordCols;
          const auto most =
              static_cast<double>(largest(want.data() + first, std::min<std::int64_t>(kWordCols, cols - first)));
          ASSERT_NEAR(got[static_cast<std::size_t>(r * cols + k)], want[static_cast<std::size_t>(k)],
                      most * (0.5 / kMostWordWeight + 3 * test::kUnit))
              << tensor::info(type).name << " " << r << " " << k;
        }
      }
    }
  }
}

TEST_P(Words, ProductsAreThoseOfTheKeptBits) {
  struct Case {
    std::int64_t n, rows, cols;
  };
  const auto d = device();
  for (const Case c : {Case{1, 1, 32}, {1, 48, 384}, {3, 17, 96}, {8, 33, 160}, {19, 40, 1536}, {261, 70, 256}}) {
    for (const bool more : {false, true}) {
      SCOPED_TRACE(std::to_string(c.n) + "x" + std::to_string(c.rows) + "x" + std::to_string(c.cols));
      const Weights w(DType::f32, c.rows, c.cols, 1);
      const auto matrix = rounded(*d, w);
      const auto x = test::random_floats(static_cast<std::size_t>(c.n * c.cols), 2);
      const auto bias = test::random_floats(static_cast<std::size_t>(c.rows), 3);
      const auto before = test::random_floats(static_cast<std::size_t>(c.n * c.rows), 4);
      const Owned in(*d, c.n, c.cols, x), b(*d, 1, c.rows, bias), out(*d, c.n, c.rows, before);
      d->matmul(out, *matrix, in, {}, /*accumulate=*/more, more ? b.data() : nullptr);
      const std::vector<float> got = out.values();
      const std::vector<float> weights = packed_values(*d, *matrix);
      for (std::int64_t i = 0; i < c.n; i++) {
        for (std::int64_t r = 0; r < c.rows; r++) {
          const float* const xs = x.data() + i * c.cols;
          const float* const ws = weights.data() + r * c.cols;
          const auto at = static_cast<std::size_t>(i * c.rows + r);
          const double added =
              more ? static_cast<double>(before[at]) + static_cast<double>(bias[static_cast<std::size_t>(r)]) : 0;
          double want = added;
          for (std::int64_t k = 0; k < c.cols; k++) want += static_cast<double>(xs[k]) * static_cast<double>(ws[k]);
          const double allowed = tolerance(xs, ws, c.cols) + 4 * test::kUnit * (std::fabs(want) + 10);
          ASSERT_NEAR(got[at], want, allowed) << "row " << i << " output " << r;
        }
      }
    }
  }
}

TEST_P(Words, BitsDoNotDependOnTheBatchOrTheThreads) {
  const std::int64_t cols = 416;
  const Weights w(DType::f32, 100, cols, 7);
  const std::vector<float> x = test::random_floats(static_cast<std::size_t>(cols), 8);
  std::vector<float> alone;
  for (const int threads : {1, 2, 3}) {
    const auto d = device(threads);
    const auto matrix = rounded(*d, w);
    for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 31, 130, 300}) {
      auto batch = test::random_floats(static_cast<std::size_t>(n * cols), 10 + static_cast<unsigned>(n));
      const std::int64_t places[] = {0, n / 2, n - 1};
      for (const std::int64_t p : places) std::copy(x.begin(), x.end(), batch.begin() + p * cols);
      const std::vector<float> all = product(*d, *matrix, batch);
      if (alone.empty()) alone.assign(all.begin(), all.begin() + w.rows);
      for (const std::int64_t p : places) {
        ASSERT_EQ(std::memcmp(alone.data(), all.data() + p * w.rows, alone.size() * sizeof(float)), 0)
            << threads << " threads, row " << p << " of " << n;
      }
    }
  }
}

/// Weights and activations all at the ends of their ranges: 128 products of 2047 and 8191 are just below 2^31.
TEST_P(Words, ExtremesDoNotOverflow) {
  const auto d = device();
  for (const float sign : {1.0F, -1.0F}) {
    Weights w(DType::f32, 16, 256, 0);
    const std::vector<float> values(16 * 256, sign * 0.7F);
    std::memcpy(w.bytes.data(), values.data(), w.bytes.size());
    const auto matrix = rounded(*d, w);
    for (const float value : {3.0F, -3.0F}) {
      const double want = 256.0 * static_cast<double>(sign) * 0.7 * static_cast<double>(value);
      for (const float got : product(*d, *matrix, std::vector<float>(9 * 256, value))) {
        ASSERT_NEAR(got, want, 16 * test::kUnit * std::fabs(want));
      }
    }
  }
}

/// Integers would turn a NaN into some number. A row of zeros, of weights or activations, gives zeros.
TEST_P(Words, WhatIsNotFiniteStaysSoAndItsNeighboursDoNotNotice) {
  const auto d = device();
  Weights w(DType::f32, 20, 160, 1);
  std::fill_n(w.bytes.begin() + 3 * 160 * 4, 160 * 4, std::byte{0});
  const auto matrix = rounded(*d, w);
  auto x = test::random_floats(std::size_t{11 * 160}, 2);
  std::fill_n(x.begin() + 5 * 160, 160, 0.0F);
  const std::vector<float> before = product(*d, *matrix, x);
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto y = x;
    y[2 * 160 + 150] = wrong;
    const std::vector<float> after = product(*d, *matrix, y);
    for (std::size_t i = 0; i < 11; i++) {
      for (std::size_t r = 0; r < 20; r++) {
        const float got = after[i * 20 + r];
        if (i == 2) {
          EXPECT_TRUE(std::isnan(got)) << r;
        } else {
          EXPECT_EQ(got, before[i * 20 + r]);
          EXPECT_EQ(got == 0, i == 5 || r == 3);
        }
      }
    }
  }
}

/// Parts that are rounded, that are quantised already and that can only be multiplied as floats, side by side.
TEST_P(Words, StackWithOtherTypes) {
  const auto d = device();
  const Weights parts[] = {Weights(DType::f16, 40, 256, 1), Weights(DType::q6_k, 9, 256, 2),
                           Weights(DType::f8_g32, 21, 256, 3), Weights(DType::f32, 5, 256, 4)};
  std::vector<tensor::View> views;
  for (const Weights& part : parts) views.push_back(part.view());
  const auto x = test::random_floats(std::size_t{11 * 256}, 5);
  const auto stacked = d->load_matrix(views, Rounding::allowed);
  const std::vector<float> all = product(*d, *stacked, x);
  std::size_t first = 0;
  for (const Weights& part : parts) {
    const auto rows = static_cast<std::size_t>(part.rows);
    const std::vector<float> alone = product(*d, *rounded(*d, part), x);
    for (std::size_t i = 0; i < 11; i++) {
      EXPECT_EQ(std::memcmp(alone.data() + i * rows, all.data() + i * 75 + first, rows * sizeof(float)), 0);
    }
    first += rows;
  }
}

/// With activations of 8 bits they are rounded as Q8_0 rounds: the same bits as of a file in that type.
TEST_P(Words, AreQ8InsteadWithActivationsOf8Bits) {
  const auto d = test::cpu({GetParam(), Way::int8});
  const Weights w(DType::f32, 37, 288, 1);
  Weights q8(DType::q8_0, 37, 288, 1);
  const auto x = test::random_floats(std::size_t{30 * 288}, 2);
  EXPECT_TRUE(same_bits(product(*d, *rounded(*d, w), x), product(*d, *kept(*d, q8), x)));
}

/// Exact mode, and rows that are not whole blocks.
TEST_P(Words, LeaveAloneWhatMayNotBeRounded) {
  const auto exact = test::cpu({GetParam(), Way::exact});
  const Weights w(DType::f32, 37, 288, 1);
  const auto x = test::random_floats(std::size_t{30 * 288}, 2);
  EXPECT_TRUE(same_bits(product(*exact, *rounded(*exact, w), x), product(*exact, *kept(*exact, w), x)));
  const auto fast = device();
  const Weights odd(DType::f32, 37, 100, 1);
  const auto y = test::random_floats(std::size_t{30 * 100}, 2);
  EXPECT_TRUE(same_bits(product(*fast, *rounded(*fast, odd), y), product(*fast, *kept(*fast, odd), y)));
  const Weights quantised(DType::q4_0, 37, 288, 1);
  EXPECT_TRUE(same_bits(product(*fast, *rounded(*fast, quantised), x), product(*fast, *kept(*fast, quantised), x)));
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Words, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return std::string(info.param); });

TEST(RoundedMatrix, TakesWhatIsEstimated) {
  for (const Activations activations : {Activations::int16, Activations::int8}) {
    CpuOptions options;
    options.activations = activations;
    const auto device = make_cpu_device(options);
    const FloatWeights floats = rounded_weights(MathMode::fast, activations);
    for (const DType type : kFloats) {
      const Weights w(type, 70, 288, 1);
      const std::size_t bytes = packed_bytes(w.view(), floats);
      EXPECT_EQ(rounded(*device, w)->bytes(), (bytes + 4095) / 4096 * 4096);
      const double bits = activations == Activations::int8 ? 8.5 : 16.4;
      EXPECT_NEAR(static_cast<double>(bytes), 80 * 288 * bits / 8, 80 * 288 * 0.1);
    }
  }
}

TEST(RoundedMatrix, RefusesWeightsThatAreNotFinite) {
  for (const Activations activations : {Activations::int16, Activations::int8}) {
    CpuOptions options;
    options.activations = activations;
    const auto device = make_cpu_device(options);
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      Weights w(DType::f32, 20, 160, 1);
      std::memcpy(w.bytes.data() + 1000, &wrong, sizeof(wrong));
      EXPECT_THROW(rounded(*device, w), Error);
    }
  }
}

}  // namespace
}  // namespace glia::kernels
