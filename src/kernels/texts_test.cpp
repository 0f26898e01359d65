// Ops over whole texts on every instruction set against the float64 reference, and bit for bit whatever else is in the
// batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <ostream>
#include <string>

#include "base/error.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using test::kUnit;
using test::Owned;

class Texts : public testing::TestWithParam<test::Parameters> {
 protected:
  std::unique_ptr<Device> device_ = test::cpu(GetParam());
  std::unique_ptr<Device> reference_ = make_reference_device();
};
INSTANTIATE_TEST_SUITE_P(All, Texts, testing::ValuesIn(test::all_parameters()),
                         [](const auto& info) { return test::name_of(info.param); });

using Lengths = std::vector<std::int32_t>;

std::int64_t rows_of(const Lengths& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

/// Float sums of exactly dequantised rows in a fixed order: the same bits everywhere.
TEST_P(Texts, LookupsAreExact) {
  for (const std::int64_t cols : {1, 33, 384}) {
    for (const auto type : {tensor::DType::f32, tensor::DType::f16, tensor::DType::bf16}) {
      const test::Weights words(type, 50, cols, 1);
      const test::Weights types(tensor::DType::f32, 2, cols, 2);
      const Lengths ids = {49, 0, 7, 7, 13};
      const Lengths kinds = {0, 1, 1, 0, 1};
      std::vector<float> results[2];
      Device* const devices[2] = {device_.get(), reference_.get()};
      for (int i = 0; i < 2; i++) {
        const auto first = devices[i]->load_table(words.view());
        const auto second = devices[i]->load_table(types.view());
        EXPECT_EQ(first->rows(), 50);
        EXPECT_EQ(first->cols(), cols);
        EXPECT_GT(first->bytes(), 0U);
        const Owned out(*devices[i], 5, cols);
        const Lookup lookups[] = {{first.get(), ids}, {second.get(), kinds}, {first.get(), kinds}};
        devices[i]->lookup(out, lookups);
        results[i] = out.values();
      }
      EXPECT_EQ(results[0], results[1]);
    }
  }
}

TEST_P(Texts, TablesOfIntegersAreRefused) {
  const std::vector<std::byte> bytes(32);
  for (const auto type : {tensor::DType::i64, tensor::DType::u8, tensor::DType::i8}) {
    const tensor::View view{type, {2, 2}, std::span(bytes).first(4 * tensor::info(type).bytes)};
    EXPECT_THROW(device_->load_table(view), Error);
  }
}

/// A sum of n floats carries n u of the largest partial sum, the factor 1 / n and its product 2 more. What is picked is
/// the same bits.
TEST_P(Texts, PoolsEveryTextByItself) {
  const Lengths lengths = {3, 1, 200, 17};
  for (const Pooling pooling : {Pooling::first, Pooling::last, Pooling::mean, Pooling::max}) {
    for (const std::int64_t cols : {1, 19, 384}) {
      const auto x = test::random_floats(static_cast<std::size_t>(rows_of(lengths) * cols), 3);
      std::vector<float> results[2];
      Device* const devices[2] = {device_.get(), reference_.get()};
      for (int i = 0; i < 2; i++) {
        const Owned in(*devices[i], rows_of(lengths), cols, x);
        const Owned out(*devices[i], 4, cols);
        devices[i]->pool(out, in, lengths, pooling);
        results[i] = out.values();
      }
      if (pooling != Pooling::mean) {
        EXPECT_EQ(results[0], results[1]);
      }
      for (std::size_t j = 0; j < results[0].size(); j++) {
        const auto n = static_cast<double>(lengths[j / static_cast<std::size_t>(cols)]);
        ASSERT_NEAR(results[0][j], results[1][j], (n + 2) * kUnit * 5) << j;  // |x| stays below 5
      }
    }
  }
}

/// As RmsNorm: the sum of squares carries (cols / 16 + 5) u, halved by the root; division and product 3 more.
TEST_P(Texts, NormalisesRowsAndLeavesNothingAlone) {
  for (const std::int64_t cols : {1, 19, 384, 1024}) {
    auto x = test::random_floats(static_cast<std::size_t>(3 * cols), 4, 7.0F);
    std::fill(x.begin() + cols, x.begin() + 2 * cols, 0.0F);
    std::vector<float> results[2];
    Device* const devices[2] = {device_.get(), reference_.get()};
    for (int i = 0; i < 2; i++) {
      const Owned in(*devices[i], 3, cols, x);
      devices[i]->normalise(in);
      results[i] = in.values();
    }
    const double relative = (static_cast<double>(cols) / 32 + 8) * kUnit;
    for (std::size_t j = 0; j < x.size(); j++) {
      ASSERT_NEAR(results[0][j], results[1][j], relative * std::fabs(static_cast<double>(results[1][j])));
    }
  }
}

struct Scene {
  std::int64_t heads = 1;
  TextAttention options;
  Lengths lengths;
};

/// The vectors of a text depend on its number in `names` and its length alone.
std::vector<float> vectors(const Scene& scene, const Lengths& names, std::int64_t cols, std::uint32_t seed) {
  std::vector<float> all;
  for (std::size_t i = 0; i < scene.lengths.size(); i++) {
    const auto v = test::random_floats(static_cast<std::size_t>(scene.lengths[i] * cols),
                                       seed + 1000U * static_cast<std::uint32_t>(names[i]));
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

std::vector<float> attend(Device& d, const Scene& scene, const Lengths& names) {
  const std::int64_t n = rows_of(scene.lengths);
  const std::int64_t q_cols = scene.heads * scene.options.head_dim;
  const std::int64_t kv_cols = std::int64_t{scene.options.kv_heads} * scene.options.head_dim;
  const Owned q(d, n, q_cols, vectors(scene, names, q_cols, 1));
  const Owned k(d, n, kv_cols, vectors(scene, names, kv_cols, 2));
  const Owned v(d, n, kv_cols, vectors(scene, names, kv_cols, 3));
  const Owned out(d, n, q_cols);
  d.text_attention(out, q, k, v, scene.lengths, scene.options);
  return out.values();
}

Lengths in_order(const Scene& scene) {
  Lengths names(scene.lengths.size());
  std::iota(names.begin(), names.end(), 0);
  return names;
}

/// attention_test.cpp derives the bound; a row sees up to 300 positions in either direction.
TEST_P(Texts, AttentionAgreesWithTheReference) {
  const KvType kv = GetParam().way == test::Way::exact ? KvType::f32 : kDefaultKvType;
  for (const auto& [heads, kv_heads, dim] : {std::array{12, 12, 32}, std::array{3, 1, 64}, std::array{4, 2, 20},
                                             std::array{1, 1, 8}, std::array{3, 3, 256}}) {
    using Mask = std::pair<std::int32_t, bool>;  // window, causal
    for (const auto& [window, causal] : {Mask{0, false}, Mask{1, false}, Mask{5, false}, Mask{64, false},
                                         Mask{129, false}, Mask{4096, false}, Mask{0, true}, Mask{65, true}}) {
      Scene scene{heads,
                  {.kv_heads = kv_heads,
                   .head_dim = dim,
                   .scale = 1.0F / std::sqrt(static_cast<float>(dim)),
                   .window = window,
                   .causal = causal},
                  {300, 1, 64, 65, 129, 2, 16}};
      SCOPED_TRACE(std::to_string(dim) + " window " + std::to_string(window) + (causal ? " causal" : ""));
      const std::vector<float> got = attend(*device_, scene, in_order(scene));
      const std::vector<float> want = attend(*reference_, scene, in_order(scene));
      const double d = dim;
      const auto scale = static_cast<double>(scene.options.scale);
      const test::StoredError stored = test::stored_error(kv, d, scale, 2 * std::sqrt(d), 6);
      const double score_error = 4 * d * scale * (d + 2) * kUnit + stored.score;
      const double cheaper_exp = kv == KvType::f32 ? 0 : 2.9e-6;
      const double weight_error = std::exp(2 * score_error) - 1 + (4 + 128 + 4) * kUnit + cheaper_exp;
      const double allowed = 6.0 * (2 * weight_error + 8 * kUnit) + stored.value;
      ASSERT_EQ(got.size(), want.size());
      double squares = 0;
      for (std::size_t i = 0; i < got.size(); i++) {
        ASSERT_NEAR(got[i], want[i], allowed) << i;
        squares += std::pow(static_cast<double>(got[i] - want[i]), 2);
      }
      EXPECT_LT(std::sqrt(squares / static_cast<double>(got.size())), allowed / (kv == KvType::f32 ? 20 : 10));
    }
  }
}

TEST_P(Texts, AttentionBitsDoNotDependOnTheBatchOrTheThreads) {
  for (const auto& [window, causal] : {std::pair{0, false}, std::pair{40, false}, std::pair{0, true}}) {
    const TextAttention options{.kv_heads = 2, .head_dim = 24, .scale = 0.2F, .window = window, .causal = causal};
    const Scene alone{4, options, {150}};
    const std::vector<float> want = attend(*device_, alone, {7});
    for (const int threads : {1, 2, 3}) {
      const auto device = test::cpu(GetParam(), threads);
      for (const auto& [before, after] : {std::pair{Lengths{}, Lengths{3}}, std::pair{Lengths{1, 64}, Lengths{}},
                                          std::pair{Lengths{17, 400}, Lengths{5, 150, 9}}}) {
        Scene scene{4, options, before};
        Lengths names(before.size(), 1);
        scene.lengths.push_back(150);
        names.push_back(7);
        for (const std::int32_t n : after) {
          scene.lengths.push_back(n);
          names.push_back(2);
        }
        const std::vector<float> all = attend(*device, scene, names);
        const auto first = static_cast<std::size_t>(rows_of(before) * 4 * 24);
        ASSERT_EQ(std::memcmp(all.data() + first, want.data(), want.size() * sizeof(float)), 0)
            << threads << " threads, window " << window;
      }
    }
  }
}

}  // namespace
}  // namespace glia::kernels
