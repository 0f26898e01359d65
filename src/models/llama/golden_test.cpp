// Held against transformers (tests/golden/make_llama.py): logits at every position and 64 greedy tokens.
#include <gtest/gtest.h>

#include <cmath>
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
    {"odd", false},         {"odd", true},
    {"mqa_tied", false},    {"mqa_tied", true},
    {"mha_sharded", false}, {"llama3_rope", false},
    {"llama3_rope", true},  {"wide_heads_linear", false},
    {"quant", true},        {"wide_heads_linear", true},
};

std::unique_ptr<LanguageModel> load(const ModelCase& model, kernels::Device& device) {
  const auto folder = testing::golden_folder();
  if (model.gguf) return load_language_model(formats::GgufFile::open(folder / (model.name + ".gguf")), device);
  return load_language_model(formats::HfFolder::open(folder / model.name), device);
}

/// transformers computed in float32, and so do the exact devices. Each of a layer's 8 rounding points (7 products and
/// the attention) and the head add a relative error of about sqrt(terms) * 2^-24, with up to 256 terms; independent
/// errors add in squares; two such computations are compared.
double exact_tolerance(const Golden& golden, const LanguageModelInfo& info) {
  const double one_product = std::sqrt(256.0) * std::ldexp(1.0, -24);
  return 2 * std::sqrt(8.0 * info.layers + 1) * one_product * testing::largest_magnitude(golden.logits);
}

/// The estimate from headers against what loading and a cache then take, in both modes.
TEST(LlamaEstimate, IsNearWhatLoadingTakes) {
  for (const auto math : {kernels::MathMode::exact, kernels::MathMode::fast}) {
    const auto device = kernels::make_cpu_device({1, math, {}});
    for (const auto* name : {"odd", "quant", "llama3_rope"}) {
      const auto file = formats::GgufFile::open(testing::golden_folder() / (std::string(name) + ".gguf"));
      const MemoryEstimate estimate = estimate_memory(file, math);
      const auto model = load_language_model(file, *device);
      const auto taken = static_cast<double>(model->info().weight_bytes);
      EXPECT_NEAR(static_cast<double>(estimate.weight_bytes), taken, 0.15 * taken) << name;
      EXPECT_EQ(estimate.context, 512) << name;
      // To the byte: pages of KV that fill whole pages of the system, and one of those for what reads beyond the last.
      constexpr std::int32_t kPages = 256;
      EXPECT_EQ(estimate.kv_bytes_per_token * kPages * 32 + 4096, model->create_kv_cache(kPages, 32)->bytes()) << name;
    }
  }
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<ModelCase, DeviceCase>>& info) {
  const auto& [model, device] = info.param;
  return model.label() + "_" + device.name;
}

class LlamaGolden : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

TEST_P(LlamaGolden, LogitsAndGreedyTokens) {
  const auto& [model_case, device_case] = GetParam();
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const Golden golden = testing::read_golden(model_case.name);
  ASSERT_EQ(model->info().vocab, golden.vocab);
  EXPECT_EQ(model->info().context, 512);
  EXPECT_GT(model->info().weight_bytes, 0U);

  const auto logits = testing::all_logits(*model, golden.inputs(), 1000);
  const double tolerance = exact_tolerance(golden, model->info());
  const double difference = testing::largest_difference(logits, golden.logits);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LE(difference, tolerance);
  EXPECT_EQ(testing::greedy_tokens(*model, golden.prompt, static_cast<std::int32_t>(golden.greedy.size())),
            golden.greedy);
}

INSTANTIATE_TEST_SUITE_P(Exact, LlamaGolden,
                         ::testing::Combine(::testing::ValuesIn(kModels),
                                            ::testing::ValuesIn(testing::exact_devices())),
                         case_name);

}  // namespace
}  // namespace glia::models
