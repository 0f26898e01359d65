// Mixtures of experts held against transformers (tests/golden/make_moe.py): logits at every position, greedy tokens,
// the fast path's roundings, bits that do not depend on the batch.
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

struct ModelCase {
  std::string name;
  bool gguf;

  std::string label() const { return name + (gguf ? "_gguf" : "_hf"); }
};
void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.label(); }

const std::vector<ModelCase> kModels = {
    {"mixtral", false},      {"mixtral", true},   {"mixtral_window", false},  {"mixtral_quant", true},
    {"qwen2_moe", false},    {"qwen2_moe", true}, {"qwen2_moe_mixed", false}, {"qwen3_moe", false},
    {"qwen3_moe", true},     {"gpt_oss", false},  {"gpt_oss", true},          {"gpt_oss_float", false},
    {"gpt_oss_float", true},
};

std::filesystem::path folder() { return testing::golden_folder("moe"); }

Golden read_golden(const std::string& name) { return testing::read_golden(name, "moe"); }

std::unique_ptr<LanguageModel> load(const ModelCase& model, kernels::Device& device) {
  if (model.gguf) return load_language_model(formats::GgufFile::open(folder() / (model.name + ".gguf")), device);
  return load_language_model(formats::HfFolder::open(folder() / model.name), device);
}

MemoryEstimate estimate(const ModelCase& model, kernels::MathMode math) {
  if (model.gguf) return estimate_memory(formats::GgufFile::open(folder() / (model.name + ".gguf")), math);
  return estimate_memory(formats::HfFolder::open(folder() / model.name), math);
}

/// transformers computed in float32, and so do the exact devices. A layer has 12 rounding points (up to 11 products,
/// the attention), the head one more, each of a relative error of about sqrt(terms) * 2^-24 with up to 256 terms;
/// independent errors add in squares; two such computations are compared. The weights of the chosen experts are
/// exponentials of router logits of magnitude up to 10: their errors count tenfold, in each layer once.
double exact_tolerance(const Golden& golden, const LanguageModelInfo& info) {
  const double one_product = std::sqrt(256.0) * std::ldexp(1.0, -24);
  return 2 * std::sqrt((12.0 + 100.0) * info.layers + 1) * one_product * testing::largest_magnitude(golden.logits);
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<ModelCase, DeviceCase>>& info) {
  const auto& [model, device] = info.param;
  return model.label() + "_" + device.name;
}

class MoeGolden : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

TEST_P(MoeGolden, LogitsAndGreedyTokens) {
  const auto& [model_case, device_case] = GetParam();
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const Golden golden = read_golden(model_case.name);
  ASSERT_EQ(model->info().vocab, golden.vocab);
  EXPECT_EQ(model->info().context, 512);
  const auto logits = testing::all_logits(*model, golden.inputs(), 1000);
  const double difference = testing::largest_difference(logits, golden.logits);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LE(difference, exact_tolerance(golden, model->info()));
  EXPECT_EQ(testing::greedy_tokens(*model, golden.prompt, static_cast<std::int32_t>(golden.greedy.size())),
            golden.greedy);
}

INSTANTIATE_TEST_SUITE_P(Exact, MoeGolden,
                         ::testing::Combine(::testing::ValuesIn(kModels),
                                            ::testing::ValuesIn(testing::exact_devices())),
                         case_name);

/// Estimates from headers against what loading takes.
TEST(MoeEstimate, IsNearWhatLoadingTakes) {
  const auto device = kernels::make_cpu_device({1, kernels::MathMode::fast, {}});
  for (const ModelCase& model_case : kModels) {
    const MemoryEstimate expected = estimate(model_case, kernels::MathMode::fast);
    const auto model = load(model_case, *device);
    const auto taken = static_cast<double>(model->info().weight_bytes);
    // Memory comes in pages of 4096 bytes: a whole one for each of a layer's norms and biases, half of one more for
    // each matrix. Real models do not notice.
    const double pages = 6.5 * model->info().layers + 2;
    EXPECT_NEAR(static_cast<double>(expected.weight_bytes), taken, 0.15 * taken + 4096 * pages) << model_case.label();
    EXPECT_EQ(expected.context, 512);
  }
}

double rms_difference(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

class MoeDevices : public ::testing::TestWithParam<DeviceCase> {};

/// As fast_golden_test.cpp: no further from the exact logits than the fast path's roundings take transformers, but for
/// a quarter for the draw of the noise. mixtral_quant's file was not run with its roundings.
TEST_P(MoeDevices, FastRoundsWhatItMayAndNoMore) {
  if (GetParam().math == kernels::MathMode::exact) return;
  const auto device = GetParam().make();
  for (const ModelCase& model_case : kModels) {
    if (model_case.name == "mixtral_quant") continue;
    const Golden golden = read_golden(model_case.name);
    const auto logits = testing::all_logits(*load(model_case, *device), golden.inputs(), 1000);
    ASSERT_EQ(logits.size(), golden.logits.size());
    const double own = rms_difference(logits, golden.logits);
    const double rounding = rms_difference(golden.fast_logits, golden.logits);
    EXPECT_LE(own, 1.25 * rounding) << model_case.label();
    RecordProperty(model_case.label(), std::to_string(own) + " of " + std::to_string(rounding));
  }
}

/// The same tokens in one step, in chunks, one by one.
TEST_P(MoeDevices, BitsDoNotDependOnTheChunks) {
  const auto device = GetParam().make();
  for (const ModelCase& model_case : kModels) {
    const auto model = load(model_case, *device);
    const auto tokens = read_golden(model_case.name).inputs();
    const auto whole = testing::all_logits(*model, tokens, 1000);
    for (const std::int32_t chunk : {1, 7, 32}) {
      const auto parts = testing::all_logits(*model, tokens, chunk);
      ASSERT_EQ(parts.size(), whole.size());
      EXPECT_EQ(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float)), 0)
          << model_case.label() << ", chunks of " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, MoeDevices, ::testing::ValuesIn(testing::cpu_devices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace glia::models
