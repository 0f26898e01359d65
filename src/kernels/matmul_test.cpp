// Matrix products of every type on every instruction set against the float64 reference. Tolerances: test::tolerance.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using tensor::DType;
using test::Owned;
using test::tolerance;
using test::Weights;

struct Case {
  std::int64_t n, rows, cols;
};

std::vector<float> normalised(const std::vector<float>& x, std::int64_t cols, const std::vector<float>& weight,
                              float eps) {
  std::vector<float> out = x;
  for (std::size_t first = 0; first < x.size(); first += static_cast<std::size_t>(cols)) {
    double sum = 0;
    for (std::size_t j = 0; j < static_cast<std::size_t>(cols); j++)
      sum += std::pow(static_cast<double>(x[first + j]), 2);
    const double factor = 1 / std::sqrt(sum / static_cast<double>(cols) + static_cast<double>(eps));
    for (std::size_t j = 0; j < static_cast<std::size_t>(cols); j++) {
      out[first + j] = static_cast<float>(static_cast<double>(x[first + j]) * factor * static_cast<double>(weight[j]));
    }
  }
  return out;
}

class Matmul : public testing::TestWithParam<test::Parameters> {
 protected:
  std::unique_ptr<Device> device_ = test::cpu(GetParam());
  std::unique_ptr<Device> reference_ = make_reference_device();
};

TEST_P(Matmul, AgreesWithTheReference) {
  for (const DType type : test::weight_types()) {
    std::vector<Case> cases = {{1, 1, 256}, {1, 48, 512}, {5, 33, 256}, {8, 16, 768}, {19, 40, 512}, {130, 70, 256}};
    if (tensor::info(type).block == 32) cases.push_back({3, 20, 32 * 9});
    if (tensor::info(type).block == 1) cases.insert(cases.end(), {{3, 20, 1}, {9, 17, 37}, {2, 5, 100}});
    for (const Case& c : cases) {
      for (const bool norm : {false, true}) {
        SCOPED_TRACE(std::string(tensor::info(type).name) + " " + std::to_string(c.n) + "x" + std::to_string(c.rows) +
                     "x" + std::to_string(c.cols) + (norm ? " norm" : ""));
        const Weights w(type, c.rows, c.cols, 1);
        const auto x = test::random_floats(static_cast<std::size_t>(c.n * c.cols), 2);
        const auto before = test::random_floats(static_cast<std::size_t>(c.n * c.rows), 3);
        const auto bias = test::random_floats(static_cast<std::size_t>(c.rows), 4);
        const auto norm_weight = test::random_floats(static_cast<std::size_t>(c.cols), 5);
        std::vector<float> results[2];
        Device* const devices[2] = {device_.get(), reference_.get()};
        for (int i = 0; i < 2; i++) {
          Device& d = *devices[i];
          const tensor::View view = w.view();
          const auto matrix = d.load_matrix({&view, 1});
          const Owned out(d, c.n, c.rows, before);
          const Owned in(d, c.n, c.cols, x);
          const Owned b(d, 1, c.rows, bias);
          const Owned g(d, 1, c.cols, norm_weight);
          d.matmul(out, *matrix, in, norm ? Norm{g.data(), 1e-5F} : Norm{}, norm, b.data());
          results[i] = out.values();
          EXPECT_EQ(in.values(), x);
        }
        const std::vector<float> seen = norm ? normalised(x, c.cols, norm_weight, 1e-5F) : x;
        for (std::int64_t r = 0; r < c.rows; r++) {
          const std::vector<float> weights = w.row(r);
          for (std::int64_t i = 0; i < c.n; i++) {
            const auto at = static_cast<std::size_t>(i * c.rows + r);
            const double extra =
                4 * test::kUnit *
                (std::fabs(static_cast<double>(results[1][at])) + std::fabs(static_cast<double>(before[at])));
            const double allowed = tolerance(GetParam().way_for(type), seen.data() + i * c.cols, weights, norm) + extra;
            ASSERT_NEAR(results[0][at], results[1][at], allowed) << "row " << i << " output " << r;
          }
        }
      }
    }
  }
}

/// The same row gives the same bits in any batch, at any place in it, on any number of threads.
TEST_P(Matmul, BitsDoNotDependOnTheBatchOrTheThreads) {
  for (const DType type : test::weight_types()) {
    SCOPED_TRACE(tensor::info(type).name);
    const std::int64_t cols = 512;
    const std::int64_t rows = 100;
    const Weights w(type, rows, cols, 7);
    const tensor::View view = w.view();
    const std::vector<float> x = test::random_floats(static_cast<std::size_t>(cols), 8);
    const std::vector<float> gain = test::random_floats(static_cast<std::size_t>(cols), 9);
    std::vector<float> alone;
    for (const int threads : {1, 2, 3}) {
      const auto d = test::cpu(GetParam(), threads);
      const auto matrix = d->load_matrix({&view, 1});
      const Owned g(*d, 1, cols, gain);
      for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 31, 200}) {
        std::vector<float> batch =
            test::random_floats(static_cast<std::size_t>(n * cols), 10 + static_cast<unsigned>(n));
        const std::int64_t places[] = {0, n / 2, n - 1};
        for (const std::int64_t p : places) std::copy(x.begin(), x.end(), batch.begin() + p * cols);
        const Owned in(*d, n, cols, batch);
        const Owned out(*d, n, rows);
        d->matmul(out, *matrix, in, Norm{g.data(), 1e-5F});
        const std::vector<float> all = out.values();
        if (alone.empty()) alone.assign(all.begin(), all.begin() + rows);
        for (const std::int64_t p : places) {
          ASSERT_EQ(std::memcmp(alone.data(), all.data() + p * rows, alone.size() * sizeof(float)), 0)
              << threads << " threads, row " << p << " of " << n;
        }
      }
    }
  }
}

TEST_P(Matmul, StacksPartsOfDifferentTypes) {
  const std::int64_t cols = 256;
  const Weights q(DType::q4_k, 40, cols, 1);
  const Weights k(DType::q6_k, 9, cols, 2);
  const Weights v(DType::f16, 21, cols, 3);
  const std::vector<tensor::View> views = {q.view(), k.view(), v.view()};
  const auto stacked = device_->load_matrix(views);
  EXPECT_EQ(stacked->rows(), 70);
  EXPECT_EQ(stacked->cols(), cols);
  const auto x = test::random_floats(static_cast<std::size_t>(11 * cols), 4);
  const Owned in(*device_, 11, cols, x);
  const Owned out(*device_, 11, 70);
  device_->matmul(out, *stacked, in);
  const std::vector<float> all = out.values();
  std::int64_t first = 0;
  for (const Weights* part : {&q, &k, &v}) {
    const tensor::View view = part->view();
    const auto matrix = device_->load_matrix({&view, 1});
    const Owned alone(*device_, 11, part->rows);
    device_->matmul(alone, *matrix, in);
    const std::vector<float> values = alone.values();
    for (std::int64_t i = 0; i < 11; i++) {
      EXPECT_EQ(std::memcmp(values.data() + i * part->rows, all.data() + i * 70 + first,
                            static_cast<std::size_t>(part->rows) * sizeof(float)),
                0);
    }
    first += part->rows;
  }
}

TEST_P(Matmul, EmbeddingIsExact) {
  for (const DType type : test::weight_types()) {
    SCOPED_TRACE(tensor::info(type).name);
    const Weights w(type, 37, 512, 5);
    const tensor::View view = w.view();
    const auto table = device_->load_matrix({&view, 1});
    const std::vector<std::int32_t> ids = {36, 0, 15, 16, 17, 31, 32, 36, 5};
    const Owned out(*device_, static_cast<std::int64_t>(ids.size()), 512);
    device_->embed(out, *table, ids);
    const std::vector<float> values = out.values();
    for (std::size_t i = 0; i < ids.size(); i++) {
      EXPECT_EQ(std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(i * 512),
                                   values.begin() + static_cast<std::ptrdiff_t>((i + 1) * 512)),
                w.row(ids[i]));
    }
  }
}

/// Weights at the ends of their range against activations at the ends of theirs: nothing may saturate.
TEST_P(Matmul, ExtremesDoNotSaturate) {
  const auto expect_sums = [&](const Weights& w, float value) {
    const tensor::View view = w.view();
    const auto matrix = device_->load_matrix({&view, 1});
    double want = 0;
    for (const float v : w.row(0)) want += static_cast<double>(value) * static_cast<double>(v);
    for (const std::int64_t n : {1, 40}) {
      const Owned in(*device_, n, 256, std::vector<float>(static_cast<std::size_t>(n * 256), value));
      const Owned out(*device_, n, 16);
      device_->matmul(out, *matrix, in);
      for (const float got : out.values()) ASSERT_NEAR(got, want, 1e-4 * 3 * 256);
    }
  };
  for (const DType type : test::weight_types()) {
    if (tensor::info(type).block == 1) continue;
    SCOPED_TRACE(tensor::info(type).name);
    for (const float sign : {1.0F, -1.0F}) {
      Weights w(type, 16, 256, 0);
      std::vector<float> row(256);
      for (std::size_t k = 0; k < 256; k++) row[k] = k % 16 == 0 ? -sign : sign;
      const auto bytes = tensor::row_bytes(type, 256);
      for (std::size_t r = 0; r < 16; r++) {
        tensor::quantize_row(type, row, std::span(w.bytes).subspan(r * bytes, bytes));
      }
      for (const float value : {3.0F, -3.0F}) expect_sums(w, value);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, Matmul, testing::ValuesIn(test::all_parameters()),
                         [](const auto& info) { return test::name_of(info.param); });

TEST(LoadMatrix, PackedWeightsStayNearTheFilesSize) {
  const auto device = make_cpu_device({});
  for (const DType type : test::weight_types()) {
    const Weights w(type, 1024, 1024, 1);
    const tensor::View view = w.view();
    const auto packed = static_cast<double>(device->load_matrix({&view, 1})->bytes());
    EXPECT_LT(packed, 1.35 * static_cast<double>(w.bytes.size())) << tensor::info(type).name;
  }
}

TEST(LoadMatrix, RefusesWhatDoesNotFit) {
  const auto device = make_cpu_device({});
  const Weights good(DType::q4_0, 4, 64, 1);
  const Weights wide(DType::q4_0, 4, 96, 1);
  const auto refused = [&](std::vector<tensor::View> views) {
    try {
      device->load_matrix(views);
    } catch (const Error& e) {
      return e.code() == ErrorCode::model_unavailable;
    }
    return false;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({good.view(), wide.view()}));
  tensor::View cut = good.view();
  cut.data = cut.data.first(cut.data.size() - 1);
  EXPECT_TRUE(refused({cut}));
  EXPECT_TRUE(refused({{DType::q4_0, {4, 40}, good.bytes}}));
  EXPECT_TRUE(refused({{DType::f32, {1ULL << 40, 1ULL << 40}, good.bytes}}));
  EXPECT_TRUE(refused({{DType::i8, {4, 64}, std::span(good.bytes).first(256 - 112)}}));
  EXPECT_FALSE(refused({good.view()}));
}

/// FP8's NaN would be 480 in the kernels: it is refused where the weights are packed.
TEST(LoadMatrix, RefusesFp8ThatIsNotANumber) {
  const auto device = make_cpu_device({});
  for (const DType type : {DType::f8_g32, DType::f8_g128}) {
    Weights w(type, 20, 256, 1);
    const tensor::View view = w.view();
    device->load_matrix({&view, 1});
    w.bytes.back() = std::byte{0xFF};
    EXPECT_THROW(device->load_matrix({&view, 1}), Error);
  }
}

/// Rows that are made when they are read are packed as rows that are there.
TEST(LoadMatrix, ReadsRowsThatAreMade) {
  const auto device = make_cpu_device({});
  const Weights w(DType::q4_1, 70, 256, 3);
  const tensor::View made = tensor::slice_rows(w.view(), 1, 34, 2);
  ASSERT_TRUE(made.source);
  const auto matrix = device->load_matrix({&made, 1});
  EXPECT_EQ(matrix->bytes(), (packed_bytes(made) + 4095) / 4096 * 4096);
  const std::vector<std::int32_t> ids = {0, 15, 16, 33};
  const Owned out(*device, 4, 256);
  device->embed(out, *matrix, ids);
  const std::vector<float> values = out.values();
  for (std::size_t i = 0; i < ids.size(); i++) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(256 * i);
    EXPECT_EQ(std::vector<float>(first, first + 256), w.row(1 + 2 * ids[i]));
  }
}

}  // namespace
}  // namespace glia::kernels
