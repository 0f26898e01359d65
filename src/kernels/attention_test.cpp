// Attention over paged keys and values on every instruction set against the float64 reference.
//
// Tolerances. With u = 2^-24 a score's error is (head_dim + 2) u sum|q k| scale; a weight exp(score - most) carries
// that and exp's 4 u; sums over n positions in blocks of 128 carry (128 + n / 128) u. A convex combination of values
// moves by at most twice the weights' relative error times max|v|. What storing keys and values adds: stored_error. A
// cap shrinks a score's error and adds 8 u of the cap; a sink is exact.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <ostream>

#include "kernels/kernel_table.h"
#include "kernels/test_support.h"

namespace glia::kernels {
namespace {

using test::Owned;
using test::stored_error;
using test::StoredError;

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
  KvType kv;

  std::unique_ptr<Device> make(std::int32_t threads = 2) const {
    CpuOptions options;
    options.isa = isa;
    options.math = kv == KvType::f32 ? MathMode::exact : MathMode::fast;
    options.threads = threads;
    if (kv != KvType::f32) options.kv = kv;
    return make_cpu_device(options);
  }
};
constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16", "int16", "int8"};
std::string name_of(const Parameters& p) {
  return std::string(p.isa) + "_" + std::string(kTypeNames[static_cast<std::size_t>(p.kv)]);
}
void PrintTo(const Parameters& p, std::ostream* out) { *out << name_of(p); }

class Attention : public testing::TestWithParam<Parameters> {};

/// A mixed batch (a chunk of a prompt, single rows, a whole short prompt) on both devices.
void expect_agreement(const Scene& scene, const Parameters& parameters) {
  const auto device = parameters.make();
  const auto reference = make_reference_device();
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
  // |q k| of normal vectors: the largest norms here stay below 2 sqrt(dim), the largest elements below 6.
  const double scale =
      static_cast<double>(scene.scale()) * (1 + 3 * static_cast<double>(scene.options.temperature_scale));
  const StoredError stored = stored_error(parameters.kv, dim, scale, 2 * std::sqrt(dim), 6);
  const double score_error = 4 * dim * scale * (dim + 2) * test::kUnit + stored.score +
                             8 * test::kUnit * static_cast<double>(scene.options.softcap);
  const bool integers = parameters.kv == KvType::int16 || parameters.kv == KvType::int8;
  const double cheaper_exp = integers ? 2.9e-6 : 0;
  const double weight_error = std::exp(2 * score_error) - 1 + (4 + 128 + 4) * test::kUnit + cheaper_exp;
  const double allowed = 6.0 * (2 * weight_error + 8 * test::kUnit) + stored.value;
  ASSERT_EQ(got.size(), want.size());
  double squares = 0;
  for (std::size_t i = 0; i < got.size(); i++) {
    ASSERT_NEAR(got[i], want[i], allowed) << i;
    squares += std::pow(static_cast<double>(got[i] - want[i]), 2);
  }
  // Roundings do not all point one way: the root mean square stays far below the worst case.
  EXPECT_LT(std::sqrt(squares / static_cast<double>(got.size())), allowed / (integers ? 10 : 20));
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
      const auto device = GetParam().make(threads);
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
  const auto device = GetParam().make();
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
  if (GetParam().kv == KvType::bf16 || GetParam().kv == KvType::int8) return;  // 8 bits of such scores are nothing
  // 16-bit keys of that size move scores by whole units where two positions compete: rare, and bounded by the values.
  EXPECT_LE(off, got.size() / 50);
}

/// One row over many chunks, which threads share out: in pages of any size the bits are those of one thread, and of the
/// same row within a prompt.
TEST_P(Attention, PositionsSharedOutGiveTheSameBits) {
  constexpr std::int32_t kLength = 1300;
  std::vector<float> first;
  for (const std::int32_t window : {0, 700}) {
    first.clear();
    for (const int threads : {1, 2, 3}) {
      const auto device = GetParam().make(threads);
      for (const std::int32_t page_tokens : {32, 9}) {
        Scene scene({2, 2, 40, page_tokens, 200}, 6, {kLength});
        scene.options.window = window;
        scene.sinks = test::random_floats(6, 5);
        for (const std::int32_t alone : {1, 2, 40}) {
          std::vector<Step> steps(2);
          steps[0].add(0, 0, kLength - alone);
          steps[1].add(0, kLength - alone, alone);
          const std::vector<float> all = run(*device, scene, steps);
          const std::vector<float> last(all.end() - 6 * 40, all.end());
          if (first.empty()) first = last;
          ASSERT_EQ(std::memcmp(first.data(), last.data(), first.size() * sizeof(float)), 0)
              << threads << " threads, pages of " << page_tokens << ", " << alone << " rows";
        }
      }
    }
    Step step;
    step.add(0, 0, kLength);
    Scene scene({2, 2, 40, 32, 200}, 6, {kLength});
    scene.options.window = window;
    scene.sinks = test::random_floats(6, 5);
    const std::vector<float> want = run(*make_reference_device(), scene, {step});
    double squares = 0;
    for (std::size_t i = 0; i < first.size(); i++) {
      squares += std::pow(static_cast<double>(first[i] - want[want.size() - first.size() + i]), 2);
    }
    const StoredError stored =
        stored_error(GetParam().kv, 40, static_cast<double>(scene.scale()), 2 * std::sqrt(40), 6);
    EXPECT_LT(std::sqrt(squares / static_cast<double>(first.size())), (12 * stored.score + stored.value) / 10 + 1e-5);
  }
}

/// AVX2 and AVX-512 share lanes, orders and fused operations; integers are exact anyway.
TEST(AttentionIsa, Avx2AndAvx512GiveTheSameBits) {
  const auto isas = available_isas();
  const auto has = [&](std::string_view isa) { return std::find(isas.begin(), isas.end(), isa) != isas.end(); };
  if (!has("avx512")) return;
  const Scene scene({2, 3, 64, 32, 40}, 9, {300});
  Step step;
  step.add(0, 0, 300);
  for (const KvType kv : {KvType::f32, KvType::f16, KvType::bf16, KvType::int16, KvType::int8}) {
    EXPECT_EQ(run(*Parameters{"avx2", kv}.make(), scene, {step}), run(*Parameters{"avx512", kv}.make(), scene, {step}));
  }
}

/// What a cache says it takes: half of the elements for int8, a scale per position, head and side beside integers.
TEST(KvTypes, TakeWhatTheySay) {
  const KvShape shape{3, 2, 64, 32, 10};
  const std::size_t elements = 2 * 3 * 2 * 64 * 32 * 10;
  const std::size_t scales = elements / 64 * sizeof(float);
  const std::size_t want[] = {4 * elements, 2 * elements, 2 * elements, 2 * elements + scales, elements + scales};
  for (const KvType kv : {KvType::f32, KvType::f16, KvType::bf16, KvType::int16, KvType::int8}) {
    const Parameters p{"baseline", kv};
    const std::size_t bytes = p.make()->create_kv_cache(shape)->bytes();
    EXPECT_NEAR(static_cast<double>(bytes), static_cast<double>(want[static_cast<std::size_t>(kv)]), 4096)
        << name_of(p);
    EXPECT_EQ(kv_page_bytes(MathMode::fast, kv, 2, 64, 32) * 3 * 10, want[static_cast<std::size_t>(kv)]);
  }
  EXPECT_EQ(kv_page_bytes(MathMode::exact, KvType::int8, 2, 64, 32), 2U * 2 * 64 * 32 * 4);
}

std::vector<Parameters> all_parameters() {
  std::vector<Parameters> all;
  for (const std::string_view isa : available_isas()) {
    for (const KvType kv : {KvType::f32, KvType::f16, KvType::bf16, KvType::int16, KvType::int8}) {
      all.push_back({isa, kv});
    }
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(EveryIsa, Attention, testing::ValuesIn(all_parameters()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace glia::kernels
