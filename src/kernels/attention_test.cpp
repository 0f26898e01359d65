// Attention over paged keys and values on every instruction set against the float64 reference.
//
// Tolerances. With u = 2^-24 a score's error is (head_dim + 2) u sum|q k| scale; a weight exp(score - most) carries
// that and exp's 4 u; sums over n positions in blocks of 128 carry (128 + n / 128) u. A convex combination of values
// moves by at most twice the weights' relative error times max|v|. Fast mode stores keys and values as float16: 2^-11
// relative, so a score moves by 2^-11 sum|q k| scale and a value by 2^-11 |v|. A cap shrinks a score's error and adds
// 8 u of the cap; a sink is exact.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <ostream>

#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using test::Owned;

/// Several sequences in one cache, pages handed out in a shuffled order.
struct Scene {
  KvShape shape;
  std::vector<std::vector<std::int32_t>> tables;
  std::vector<std::span<const std::int32_t>> table_spans;
  std::int32_t heads;

  Scene(KvShape s, std::int32_t query_heads, const std::vector<std::int32_t>& lengths) : shape(s), heads(query_heads) {
    std::vector<std::int32_t> pages(static_cast<std::size_t>(shape.pages));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(11));
    std::size_t next = 0;
    for (const std::int32_t length : lengths) {
      std::vector<std::int32_t>& table = tables.emplace_back();
      for (std::int32_t p = 0; p < length; p += shape.page_tokens) table.push_back(pages.at(next++));
    }
    for (const auto& t : tables) table_spans.emplace_back(t);
  }
  std::int64_t kv_cols() const { return std::int64_t{shape.kv_heads} * shape.head_dim; }
  std::int64_t q_cols() const { return std::int64_t{heads} * shape.head_dim; }
  float scale() const { return 1.0F / std::sqrt(static_cast<float>(shape.head_dim)); }

  AttentionOptions options;  ///< but for the scale and the sinks
  std::vector<float> sinks;
};

struct Step {
  std::vector<std::int32_t> positions, sequences;
  void add(std::int32_t sequence, std::int32_t first, std::int32_t count) {
    for (std::int32_t i = 0; i < count; i++) {
      positions.push_back(first + i);
      sequences.push_back(sequence);
    }
  }
  Rows rows(const Scene& scene) const { return {positions, sequences, scene.table_spans}; }
};

/// The vector of a position depends on the position alone, whatever batch it is written in.
std::vector<float> vectors(const Step& step, std::int64_t cols, std::uint32_t seed, float scale = 1.0F) {
  std::vector<float> all;
  for (std::size_t i = 0; i < step.positions.size(); i++) {
    const auto key =
        seed + 1000003U * static_cast<std::uint32_t>(step.sequences[i]) + static_cast<std::uint32_t>(step.positions[i]);
    const std::vector<float> v = test::random_floats(static_cast<std::size_t>(cols), key, scale);
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

/// Writes and attends the steps in order in layer 1; the last step's result.
std::vector<float> run(Device& d, const Scene& scene, const std::vector<Step>& steps, float key_scale = 1.0F) {
  const auto cache = d.create_kv_cache(scene.shape);
  const Owned sinks(d, 1, scene.heads, scene.sinks.empty() ? std::vector<float>(1) : scene.sinks);
  AttentionOptions options = scene.options;
  options.scale = scene.scale();
  options.sinks = scene.sinks.empty() ? nullptr : sinks.data();
  std::vector<float> last;
  for (const Step& step : steps) {
    const auto n = static_cast<std::int64_t>(step.positions.size());
    const Owned k(d, n, scene.kv_cols(), vectors(step, scene.kv_cols(), 1, key_scale));
    const Owned v(d, n, scene.kv_cols(), vectors(step, scene.kv_cols(), 2));
    const Owned q(d, n, scene.q_cols(), vectors(step, scene.q_cols(), 3));
    const Owned out(d, n, scene.q_cols());
    d.kv_write(*cache, 1, k, v, step.rows(scene));
    d.attention(out, q, *cache, 1, options, step.rows(scene));
    last = out.values();
  }
  return last;
}

struct Parameters {
  std::string_view isa;
  MathMode math;
};
void PrintTo(const Parameters& p, std::ostream* out) {
  *out << p.isa << (p.math == MathMode::fast ? " fast" : " exact");
}
class Attention : public testing::TestWithParam<Parameters> {};

/// A mixed batch (a chunk of a prompt, single rows, a whole short prompt) on both devices.
void expect_agreement(const Scene& scene, const Parameters& parameters) {
  const auto device = test::cpu(parameters.isa, parameters.math);
  const auto reference = make_reference_device();
  const bool half = parameters.math == MathMode::fast;
  Step step;
  Step before;
  before.add(0, 0, 250);
  before.add(2, 0, 128);
  step.add(2, 128, 1);
  step.add(0, 250, 50);
  step.add(3, 0, 1);
  step.add(1, 0, 40);
  const std::vector<float> got = run(*device, scene, {before, step});
  const std::vector<float> want = run(*reference, scene, {before, step});
  const double dim = scene.shape.head_dim;
  // |q k| of normal vectors: the largest norms here stay below 2 sqrt(dim).
  const double products =
      4 * dim * static_cast<double>(scene.scale()) * (1 + 3 * static_cast<double>(scene.options.temperature_scale));
  const double score_error = products * ((dim + 2) * test::kUnit + (half ? 0x1p-11 : 0)) +
                             8 * test::kUnit * static_cast<double>(scene.options.softcap);
  const double weight_error = std::exp(2 * score_error) - 1 + (4 + 128 + 4) * test::kUnit;
  const double allowed = 6.0 * (2 * weight_error + (half ? 0x1p-11 : 0) + 8 * test::kUnit);  // |v| < 6
  ASSERT_EQ(got.size(), want.size());
  double squares = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    ASSERT_NEAR(got[i], want[i], allowed) << i;
    squares += std::pow(static_cast<double>(got[i] - want[i]), 2);
  }
  // Roundings do not all point one way: the root mean square stays far below the worst case.
  EXPECT_LT(std::sqrt(squares / static_cast<double>(got.size())), allowed / 20);
}

const std::vector<std::int32_t> kLengths = {300, 40, 129, 1};

TEST_P(Attention, AgreesWithTheReference) {
  const KvShape shapes[] = {{2, 3, 64, 32, 40}, {2, 1, 64, 16, 60},  {2, 2, 128, 5, 200}, {2, 2, 24, 1, 700},
                            {2, 1, 8, 256, 5},  {2, 1, 256, 32, 40}, {2, 3, 96, 16, 60},  {2, 1, 20, 32, 40}};
  const std::int32_t heads[] = {9, 1, 8, 2, 7, 4, 3, 5};
  for (int s = 0; s < 8; s++) {
    SCOPED_TRACE(s);
    expect_agreement(Scene(shapes[s], heads[s], kLengths), GetParam());
  }
}

/// Windows that end before, on and behind the edges of blocks and vectors, caps near the scores, sinks small and large.
TEST_P(Attention, OptionsAgreeWithTheReference) {
  const std::int32_t windows[] = {1, 5, 16, 127, 128, 129, 200, 4096};
  for (const std::int32_t window : windows) {
    SCOPED_TRACE(window);
    Scene scene({2, 2, 40, 16, 60}, 6, kLengths);
    scene.options.window = window;
    expect_agreement(scene, GetParam());
    scene.sinks = {-30.0F, -1.0F, 0.0F, 1.5F, 3.0F, 90.0F};
    expect_agreement(scene, GetParam());
    scene.options.softcap = window % 2 == 0 ? 50.0F : 1.0F;
    expect_agreement(scene, GetParam());
  }
}

/// Chunks that end on and off the edges of blocks, and a temperature that rises within the test's positions.
TEST_P(Attention, ChunksAndTemperatureAgreeWithTheReference) {
  for (const std::int32_t chunk : {1, 50, 128, 200, 4096}) {
    SCOPED_TRACE(chunk);
    Scene scene({2, 1, 24, 16, 60}, 3, kLengths);
    scene.options.chunk = chunk;
    expect_agreement(scene, GetParam());
    scene.options.temperature_floor = 30;
    scene.options.temperature_scale = 0.1F;  // scores grow by up to a quarter
    expect_agreement(scene, GetParam());
  }
}

TEST_P(Attention, BitsDoNotDependOnTheBatchThePagesOrTheThreads) {
  for (const std::int32_t window : {0, 1, 100, 150}) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      const auto device = test::cpu(GetParam().isa, GetParam().math, threads);
      for (const std::int32_t page_tokens : {32, 16, 7, 1, 300}) {
        const KvShape shape{2, 3, 64, page_tokens, 1000};
        Scene scene(shape, 9, {280, 280});
        scene.options.window = window;
        if (window == 150) scene.options.chunk = 140;
        if (window > 0) {
          scene.options.temperature_floor = 50;
          scene.options.temperature_scale = 0.2F;
          scene.options.softcap = 30.0F;
          scene.sinks = test::random_floats(9, 5);
        }
        std::vector<std::vector<Step>> ways(3);
        ways[0].resize(1);
        ways[0][0].add(0, 0, 271);  // all at once
        ways[1].resize(3);
        ways[1][0].add(0, 0, 100);  // in chunks, with a neighbour, the last row alone
        ways[1][0].add(1, 0, 100);
        ways[1][1].add(1, 100, 1);
        ways[1][1].add(0, 100, 170);
        ways[1][2].add(0, 270, 1);
        ways[2].resize(2);
        ways[2][0].add(0, 0, 265);
        ways[2][1].add(0, 265, 6);
        for (const auto& steps : ways) {
          const std::vector<float> all = run(*device, scene, steps);
          const std::vector<float> last(all.end() - 9 * 64, all.end());
          if (first.empty()) first = last;
          ASSERT_EQ(std::memcmp(first.data(), last.data(), first.size() * sizeof(float)), 0)
              << threads << " threads, pages of " << page_tokens << ", window " << window;
        }
      }
    }
  }
}

/// Scores that span far more than float32's exponent: the largest wins and nothing overflows.
TEST_P(Attention, HugeScoresStayFinite) {
  const auto device = test::cpu(GetParam().isa, GetParam().math);
  const auto reference = make_reference_device();
  const Scene scene({2, 1, 64, 32, 20}, 1, {400});
  Step step;
  step.add(0, 0, 400);
  const std::vector<float> got = run(*device, scene, {step}, 100.0F);
  const std::vector<float> want = run(*reference, scene, {step}, 100.0F);
  std::size_t off = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    ASSERT_TRUE(std::isfinite(got[i]));
    off += std::fabs(got[i] - want[i]) > 0.05F + 0.05F * std::fabs(want[i]);
  }
  // Float16 keys of that size move scores by whole units where two positions compete: rare, and bounded by the values.
  EXPECT_LE(off, got.size() / 50);
}

std::vector<Parameters> all_parameters() {
  std::vector<Parameters> all;
  for (const std::string_view isa : available_isas()) {
    all.push_back({isa, MathMode::exact});
    all.push_back({isa, MathMode::fast});
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(EveryIsa, Attention, testing::ValuesIn(all_parameters()), [](const auto& info) {
  return std::string(info.param.isa) + (info.param.math == MathMode::fast ? "_fast" : "_exact");
});

}  // namespace
}  // namespace glia::kernels
