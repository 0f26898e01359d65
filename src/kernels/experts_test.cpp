// Mixtures of experts on every instruction set: choices and weights against their formulas, outputs against the float64
// reference, bits against the batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using test::Owned;
using test::tolerance;
using test::Way;
using test::Weights;

struct Shape {
  DType type;
  std::int64_t hidden, ff;
  std::int32_t count, used;
};

/// One block's weights as files hold them: gate, up and down of every expert apart.
struct Files {
  Shape shape;
  std::vector<Weights> gate, up, down;
  std::vector<float> gate_up_bias, down_bias;

  explicit Files(const Shape& s) : shape(s) {
    for (std::int32_t e = 0; e < s.count; e++) {
      const auto seed = static_cast<std::uint32_t>(10 * e);
      gate.emplace_back(s.type, s.ff, s.hidden, seed + 1, 0.2F);
      up.emplace_back(s.type, s.ff, s.hidden, seed + 2, 0.2F);
      down.emplace_back(s.type, s.hidden, s.ff, seed + 3, 0.2F);
    }
    gate_up_bias = test::random_floats(static_cast<std::size_t>(s.count * 2 * s.ff), 4);
    down_bias = test::random_floats(static_cast<std::size_t>(s.count * s.hidden), 5);
  }
};

/// The same on a device.
struct Loaded {
  std::unique_ptr<Matrix> gate_up, down;
  Owned gate_up_bias, down_bias;
  Experts experts;

  Loaded(Device& d, const Files& f)
      : gate_up_bias(d, 1, static_cast<std::int64_t>(f.gate_up_bias.size()), f.gate_up_bias),
        down_bias(d, 1, static_cast<std::int64_t>(f.down_bias.size()), f.down_bias) {
    std::vector<tensor::View> first;
    std::vector<tensor::View> second;
    for (std::size_t e = 0; e < f.gate.size(); e++) {
      first.push_back(f.gate[e].view());
      first.push_back(f.up[e].view());
      second.push_back(f.down[e].view());
    }
    gate_up = d.load_matrix(first);
    down = d.load_matrix(second);
    experts.gate_up = gate_up.get();
    experts.down = down.get();
    experts.count = f.shape.count;
    experts.used = f.shape.used;
  }
  void with_biases() {
    experts.gate_up_bias = gate_up_bias.data();
    experts.down_bias = down_bias.data();
  }
};

class ExpertsTest : public testing::TestWithParam<test::Parameters> {
 protected:
  std::unique_ptr<Device> device_ = test::cpu(GetParam());
  std::unique_ptr<Device> reference_ = make_reference_device();
};

/// Experts of zero weights whose output biases are unit vectors: the output is the weights themselves.
std::vector<float> weights_of(Device& d, const std::vector<float>& logits, Experts options) {
  const auto count = static_cast<std::int64_t>(logits.size());
  const std::vector<std::byte> zeros(static_cast<std::size_t>(count * 4));
  std::vector<tensor::View> first(static_cast<std::size_t>(2 * count),
                                  {DType::f32, {1, static_cast<std::uint64_t>(count)}, zeros});
  std::vector<tensor::View> second(static_cast<std::size_t>(count),
                                   {DType::f32, {static_cast<std::uint64_t>(count), 1}, zeros});
  const auto gate_up = d.load_matrix(first);
  const auto down = d.load_matrix(second);
  std::vector<float> units(static_cast<std::size_t>(count * count));
  for (std::size_t e = 0; e < logits.size(); e++) units[e * logits.size() + e] = 1.0F;
  const Owned bias(d, count, count, units);
  const Owned x(d, 1, count, std::vector<float>(logits.size(), 1.0F));
  const Owned router(d, 1, count, logits);
  options.gate_up = gate_up.get();
  options.down = down.get();
  options.down_bias = bias.data();
  options.count = static_cast<std::int32_t>(count);
  d.experts(x, options, x, {}, router, false);
  return x.values();
}

TEST_P(ExpertsTest, WeightsAreTheFormulas) {
  const std::vector<float> logits = {0.5F, -1.0F, 2.0F, 2.0F, 0.5F, -60.0F, 1.0F};
  double all = 0;
  for (const float v : logits) all += std::exp(static_cast<double>(v));
  const auto e = [](double v) { return std::exp(v); };
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto expect = [&](const Experts& options, const std::vector<double>& want) {
    for (Device* d : {device_.get(), reference_.get()}) {
      const std::vector<float> got = weights_of(*d, logits, options);
      for (std::size_t i = 0; i < want.size(); i++) EXPECT_NEAR(got[i], want[i], 2 * test::kUnit * want[i]) << i;
    }
  };
  Experts softmax;
  softmax.used = 4;  // of two equal logits the first
  expect(softmax, {e(0.5) / all, 0, e(2) / all, e(2) / all, 0, 0, e(1) / all});
  softmax.normalise = true;
  const double four = e(0.5) + e(1) + 2 * e(2);
  expect(softmax, {e(0.5) / four, 0, e(2) / four, e(2) / four, 0, 0, e(1) / four});
  softmax.scale = 2.5F;
  expect(softmax, {2.5 * e(0.5) / four, 0, 2.5 * e(2) / four, 2.5 * e(2) / four, 0, 0, 2.5 * e(1) / four});
  Experts one;
  one.used = 1;
  one.score = RouterScore::sigmoid;
  expect(one, {0, 0, sigmoid(2), 0, 0, 0, 0});
  one.used = 3;
  one.normalise = true;
  const double three = 2 * sigmoid(2) + sigmoid(1);
  expect(one, {0, 0, sigmoid(2) / three, sigmoid(2) / three, 0, 0, sigmoid(1) / three});
}

/// A router that has lost its mind (a broken model file): some experts are chosen, nothing is read out of bounds.
TEST_P(ExpertsTest, LogitsThatAreNotNumbersChooseSomething) {
  Experts options;
  options.used = 3;
  for (const float bad : {NAN, INFINITY, -INFINITY}) weights_of(*device_, {bad, 1.0F, bad, bad, 0.0F}, options);
}

struct Options {
  bool biases, norm, accumulate, scale_input;
  Gate gate;
};

/// What the two products' tolerances amount to at output j of expert e: the first product's errors pass the gate, whose
/// slope is at most 1.2 (|gate'|) times the other factor, and add up over the second product's columns; that adds its
/// own.
double allowed_error(const Files& f, Way way, std::size_t e, std::int64_t j, const std::vector<float>& x, bool norm,
                     const Options& options) {
  const auto ff = static_cast<std::size_t>(f.shape.ff);
  std::vector<float> inner(ff);
  std::vector<double> inner_error(ff);
  for (std::size_t i = 0; i < ff; i++) {
    const auto product = [&](const Weights& w, std::size_t bias) {
      const std::vector<float> row = w.row(static_cast<std::int64_t>(i));
      double sum = options.biases ? static_cast<double>(f.gate_up_bias[e * 2 * ff + bias]) : 0.0;
      for (std::size_t k = 0; k < row.size(); k++) sum += static_cast<double>(row[k]) * static_cast<double>(x[k]);
      return std::pair(std::fabs(sum), tolerance(way, x.data(), row, norm) + 2 * test::kUnit * std::fabs(sum));
    };
    const auto [gate, gate_error] = product(f.gate[e], i);
    const auto [up, up_error] = product(f.up[e], ff + i);
    inner[i] = static_cast<float>((gate + 1) * (up + 1));
    inner_error[i] = 2 * gate_error * (up + 1) + (gate + 1) * up_error + 30 * test::kUnit * (gate + 1) * (up + 1);
  }
  const std::vector<float> row = f.down[e].row(j);
  double error = tolerance(way, inner.data(), row, false) + 8 * test::kUnit;
  for (std::size_t i = 0; i < ff; i++) error += inner_error[i] * std::fabs(static_cast<double>(row[i]));
  return error;
}

TEST_P(ExpertsTest, AgreeWithTheReference) {
  const Shape shapes[] = {{DType::q4_0, 64, 96, 5, 2},
                          {DType::q8_0, 32, 64, 8, 3},
                          {DType::f32, 20, 12, 3, 3},
                          {DType::bf16, 24, 50, 9, 1},
                          {DType::q4_k, 256, 256, 4, 2}};
  const Options options[] = {{false, true, true, false, Gate::silu},
                             {true, false, false, false, Gate::clamped_swiglu},
                             {true, true, false, true, Gate::gelu_tanh}};
  for (const Shape& shape : shapes) {
    const Files files(shape);
    const Way way = GetParam().way_for(shape.type);
    const std::int64_t n = 11;
    const auto elements = static_cast<std::size_t>(n * shape.hidden);
    const auto x = test::random_floats(elements, 7);
    const auto before = test::random_floats(elements, 8);
    const auto logits = test::random_floats(static_cast<std::size_t>(n * shape.count), 9, 2.0F);
    const auto gain = test::random_floats(static_cast<std::size_t>(shape.hidden), 6);
    for (const Options& o : options) {
      SCOPED_TRACE(std::string(tensor::info(shape.type).name) + " gate " + std::to_string(static_cast<int>(o.gate)));
      std::vector<float> results[2];
      std::vector<float> seen;
      Device* const devices[2] = {device_.get(), reference_.get()};
      for (int i = 0; i < 2; i++) {
        Device& d = *devices[i];
        Loaded loaded(d, files);
        if (o.biases) loaded.with_biases();
        loaded.experts.gate = o.gate;
        loaded.experts.normalise = !o.biases;
        loaded.experts.scale_input = o.scale_input;
        const Owned in(d, n, shape.hidden, x);
        const Owned out(d, n, shape.hidden, before);
        const Owned router(d, n, shape.count, logits);
        const Owned g(d, 1, shape.hidden, gain);
        const Norm norm = o.norm ? Norm{g.data(), 1e-5F} : Norm{};
        d.experts(out, loaded.experts, in, norm, router, o.accumulate);
        results[i] = out.values();
        EXPECT_EQ(in.values(), x);
        if (o.norm) d.rms_norm(in, in, norm);
        seen = in.values();
      }
      for (std::int64_t r = 0; r < n; r++) {
        const auto first = static_cast<std::ptrdiff_t>(r * shape.hidden);
        const std::vector<float> row(seen.begin() + first, seen.begin() + first + shape.hidden);
        for (std::int64_t j = 0; j < shape.hidden; j += 7) {
          double allowed = 0;  // any expert's; weights sum to one at most
          for (std::size_t e = 0; e < files.gate.size(); e++) {
            allowed = std::max(allowed, allowed_error(files, way, e, j, row, o.norm, o));
          }
          const auto at = static_cast<std::size_t>(r * shape.hidden + j);
          ASSERT_NEAR(results[0][at], results[1][at], allowed) << "row " << r << " column " << j;
        }
      }
    }
  }
}

/// The same row gives the same bits in any batch, whichever experts its neighbours choose, in place or not, on any
/// number of threads.
TEST_P(ExpertsTest, BitsDoNotDependOnTheBatchOrTheThreads) {
  for (const Shape& shape : {Shape{DType::q4_1, 96, 64, 7, 3}, Shape{DType::f16, 40, 36, 4, 2}}) {
    const Files files(shape);
    const auto hidden = static_cast<std::size_t>(shape.hidden);
    const auto x = test::random_floats(hidden, 1);
    const auto logits = test::random_floats(static_cast<std::size_t>(shape.count), 2);
    const auto gain = test::random_floats(hidden, 3);
    std::vector<float> alone;
    for (const int threads : {1, 2, 3}) {
      const auto d = test::cpu(GetParam(), threads);
      Loaded loaded(*d, files);
      loaded.with_biases();
      const Owned g(*d, 1, shape.hidden, gain);
      for (const std::int64_t n : {1, 2, 5, 8, 9, 33, 700}) {
        auto batch = test::random_floats(static_cast<std::size_t>(n) * hidden, 10 + static_cast<unsigned>(n));
        auto router = test::random_floats(static_cast<std::size_t>(n * shape.count), 50 + static_cast<unsigned>(n));
        const std::int64_t places[] = {0, n / 2, n - 1};
        for (const std::int64_t p : places) {
          std::copy(x.begin(), x.end(), batch.begin() + p * shape.hidden);
          std::copy(logits.begin(), logits.end(), router.begin() + p * shape.count);
        }
        const Owned in(*d, n, shape.hidden, batch);
        const Owned chosen(*d, n, shape.count, router);
        d->experts(in, loaded.experts, in, Norm{g.data(), 1e-5F}, chosen, true);
        const std::vector<float> all = in.values();
        if (alone.empty()) alone.assign(all.begin(), all.begin() + shape.hidden);
        for (const std::int64_t p : places) {
          ASSERT_EQ(std::memcmp(alone.data(), all.data() + p * shape.hidden, hidden * sizeof(float)), 0)
              << threads << " threads, row " << p << " of " << n;
        }
      }
    }
  }
}

/// One expert, always chosen, is a dense block: bit for bit.
TEST_P(ExpertsTest, OneExpertIsADenseBlock) {
  const Shape shape{DType::q5_0, 64, 96, 1, 1};
  Loaded loaded(*device_, Files(shape));
  loaded.with_biases();
  const auto x = test::random_floats(13 * 64, 1);
  const Owned in(*device_, 13, 64, x);
  const Owned router(*device_, 13, 1, test::random_floats(13, 2));
  const Owned out(*device_, 13, 64);
  const Owned inner(*device_, 13, 2 * 96);
  const Owned gated(*device_, 13, 96);
  const Owned dense(*device_, 13, 64);
  device_->experts(out, loaded.experts, in, {}, router, false);
  device_->matmul(inner, *loaded.gate_up, in, {}, false, loaded.experts.gate_up_bias);
  device_->gate(gated, inner, Gate::silu);
  device_->matmul(dense, *loaded.down, gated, {}, false, loaded.experts.down_bias);
  EXPECT_EQ(out.values(), dense.values());
}

/// The weight rounds once, the product and the sum too.
TEST_P(ExpertsTest, AddWeighted) {
  const auto out = test::random_floats(5 * 50, 1);
  const auto x = test::random_floats(5 * 50, 2);
  const std::vector<float> logit = {0.0F, -3.0F, 5.0F, 100.0F, -100.0F};
  std::vector<float> results[2];
  Device* const devices[2] = {device_.get(), reference_.get()};
  for (int i = 0; i < 2; i++) {
    const Owned sum(*devices[i], 5, 50, out);
    const Owned in(*devices[i], 5, 50, x);
    const Owned weight(*devices[i], 5, 1, logit);
    devices[i]->add_weighted(sum, in, weight);
    results[i] = sum.values();
  }
  for (std::size_t j = 0; j < out.size(); j++) {
    const double magnitude = std::fabs(static_cast<double>(out[j])) + std::fabs(static_cast<double>(x[j]));
    ASSERT_NEAR(results[0][j], results[1][j], 3 * test::kUnit * magnitude);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ExpertsTest, testing::ValuesIn(test::all_parameters()),
                         [](const auto& info) { return test::name_of(info.param); });

}  // namespace
}  // namespace glia::kernels
