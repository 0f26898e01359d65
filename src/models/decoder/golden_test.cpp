// The families beside llama, held against transformers (tests/golden/make_decoders.py): logits at every position and 64
// greedy tokens on the exact path, from both kinds of file; the fast path within what its roundings alone cost; and the
// bits of a row the same however its sequence was cut.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ostream>
#include <tuple>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using testing::DeviceCase;
using testing::Golden;

constexpr auto kFolder = "decoders";

struct ModelCase {
  std::string name;
  std::string architecture;
  bool gguf;

  std::string label() const { return name + (gguf ? "_gguf" : "_hf"); }
};

void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.label(); }

const std::vector<ModelCase> kModels = {
    {"llama_yarn_biases", "llama", false},
    {"llama_yarn_biases", "llama", true},
    {"mistral_window", "mistral", false},
    {"mistral_window", "llama", true},
    {"mistral3_vision", "mistral", false},
    {"qwen2", "qwen2", false},
    {"qwen2", "qwen2", true},
    {"qwen2_window_yarn", "qwen2", false},
    {"qwen3", "qwen3", false},
    {"qwen3", "qwen3", true},
    {"gemma", "gemma", false},
    {"gemma", "gemma", true},
    {"gemma2", "gemma2", false},
    {"gemma2", "gemma2", true},
    {"gemma2_scaled", "gemma2", false},
    {"gemma3", "gemma3", false},
    {"gemma3", "gemma3", true},
    {"gemma3_vision", "gemma3", false},
    {"phi2", "phi2", false},
    {"phi2", "phi2", true},
    {"phi3_window", "phi3", false},
    {"phi3_window", "phi3", true},
    {"phi3_longrope", "phi3", false},
    {"phi3_longrope", "phi3", true},
    {"phi3_shortrope", "phi3", false},
    {"falcon", "falcon", false},
    {"falcon", "falcon", true},
};

std::unique_ptr<LanguageModel> load(const ModelCase& model, kernels::Device& device) {
  const auto folder = testing::golden_folder(kFolder);
  if (model.gguf) return load_language_model(formats::GgufFile::open(folder / (model.name + ".gguf")), device);
  return load_language_model(formats::HfFolder::open(folder / model.name), device);
}

/// As in llama/golden_test.cpp: 8 rounding points in each layer, two more for Gemma's norms behind the blocks and two
/// for those on queries and keys, products of up to 256 terms, two float32 computations.
double exact_tolerance(const Golden& golden, const LanguageModelInfo& info) {
  const double one_product = std::sqrt(256.0) * std::ldexp(1.0, -24);
  return 2 * std::sqrt(12.0 * info.layers + 1) * one_product * testing::largest_magnitude(golden.logits);
}

double rms_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<ModelCase, DeviceCase>>& info) {
  const auto& [model, device] = info.param;
  return model.label() + "_" + device.name;
}

class DecoderGolden : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

TEST_P(DecoderGolden, LogitsAndGreedyTokens) {
  const auto& [model_case, device_case] = GetParam();
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const Golden golden = testing::read_golden(model_case.name, kFolder);
  ASSERT_EQ(model->info().vocab, golden.vocab);
  EXPECT_EQ(model->info().architecture, model_case.architecture);
  EXPECT_EQ(model->info().context, 512);

  const auto logits = testing::all_logits(*model, golden.inputs(), 1000);
  const double tolerance = exact_tolerance(golden, model->info());
  const double difference = testing::largest_difference(logits, golden.logits);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LE(difference, tolerance);
  EXPECT_EQ(testing::greedy_tokens(*model, golden.prompt, static_cast<std::int32_t>(golden.greedy.size())),
            golden.greedy);
}

INSTANTIATE_TEST_SUITE_P(Exact, DecoderGolden,
                         ::testing::Combine(::testing::ValuesIn(kModels),
                                            ::testing::ValuesIn(testing::exact_devices())),
                         case_name);

std::vector<DeviceCase> fast_devices() {
  auto out = testing::cpu_devices();
  std::erase_if(out, [](const DeviceCase& d) { return d.math == kernels::MathMode::exact; });
  return out;
}

class DecoderFast : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

/// As far from the exact logits as the roundings of keys and values alone take transformers, and no further, with a
/// quarter for the draw of the noise (llama/fast_golden_test.cpp).
TEST_P(DecoderFast, RoundsWhatItMayAndNoMore) {
  const auto& [model_case, device_case] = GetParam();
  const Golden golden = testing::read_golden(model_case.name, kFolder);
  const auto device = device_case.make();
  const auto logits = testing::all_logits(*load(model_case, *device), golden.inputs(), 1000);
  const double own = rms_difference(logits, golden.logits);
  if (golden.fast_logits.empty()) {  // half a unit of float16's last place per key and value, through every layer
    EXPECT_LE(own, 0.01 * rms_difference(std::vector<float>(golden.logits.size(), 0.0F), golden.logits));
    return;
  }
  EXPECT_LE(own, 1.25 * rms_difference(golden.fast_logits, golden.logits));
}

/// A row's bits do not depend on the chunks or pages that its sequence was cut into.
TEST_P(DecoderFast, ChunksChangeNothing) {
  const auto& [model_case, device_case] = GetParam();
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const auto tokens = testing::read_golden(model_case.name, kFolder).inputs();
  const auto whole = testing::all_logits(*model, tokens, 1000, 64);
  const auto cut = testing::all_logits(*model, tokens, 13, 5);
  ASSERT_EQ(whole.size(), cut.size());
  EXPECT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * sizeof(float)), 0);
}

INSTANTIATE_TEST_SUITE_P(Isas, DecoderFast,
                         ::testing::Combine(::testing::ValuesIn(kModels), ::testing::ValuesIn(fast_devices())),
                         case_name);

template <typename Source>
void check_estimate(const ModelCase& model, const Source& source) {
  const auto device = kernels::make_cpu_device({1, kernels::MathMode::fast, {}});
  const MemoryEstimate estimate = estimate_memory(source, kernels::MathMode::fast);
  const auto loaded = load_language_model(source, *device);
  const auto taken = static_cast<double>(loaded->info().weight_bytes);
  // Every matrix and every vector (up to seven a layer, Phi-2's) takes whole pages, which says much of some as small as
  // these.
  const double pages = 4096.0 * (6.5 * loaded->info().layers + 2);
  EXPECT_NEAR(static_cast<double>(estimate.weight_bytes), taken, 0.15 * taken + pages) << model.label();
  EXPECT_EQ(estimate.context, 512) << model.label();
  // To the byte: pages of KV that fill whole pages of the system, and one of those for what reads beyond the last.
  constexpr std::int32_t kPages = 256;
  EXPECT_EQ(estimate.kv_bytes_per_token * kPages * 32 + 4096, loaded->create_kv_cache(kPages, 32)->bytes())
      << model.label();
}

/// The estimate from headers alone reads every family's files.
TEST(DecoderEstimate, IsNearWhatLoadingTakes) {
  for (const ModelCase& model : kModels) {
    const auto folder = testing::golden_folder(kFolder);
    if (model.gguf) {
      check_estimate(model, formats::GgufFile::open(folder / (model.name + ".gguf")));
    } else {
      check_estimate(model, formats::HfFolder::open(folder / model.name));
    }
  }
}

}  // namespace
}  // namespace glia::models
