// Encoders against transformers and sentence-transformers (tests/golden/make_encoders.py): every text's states, logits
// or vector on the exact path; the fast path within what its roundings cost; and the bits of a text the
// same whatever else is in its batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <ostream>
#include <tuple>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "models/encoder_model.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using kernels::Pooling;
using testing::DeviceCase;

struct ModelCase {
  std::string name;
  std::string architecture;
  std::int32_t context;
  std::int32_t types;
  bool gguf = false;

  std::string label() const { return name + (gguf ? "_gguf" : ""); }
};
void PrintTo(const ModelCase& model, std::ostream* out) { *out << model.label(); }

const std::vector<ModelCase> kModels = {
    {"bert", "bert", 40, 2},
    {"bert_relu_f16", "bert", 40, 3},
    {"bert_wide", "bert", 40, 2},
    {"bert_masked_lm", "bert", 40, 2},
    {"bert_classifier", "bert", 40, 2},
    {"roberta", "roberta", 34, 2},
    {"xlm_roberta_bf16", "xlm-roberta", 34, 1},
    {"xlm_roberta_reranker", "xlm-roberta", 34, 1},
    {"roberta_multi_label", "roberta", 30, 1},
    {"distilbert", "distilbert", 32, 1},
    {"distilbert_sentiment", "distilbert", 32, 1},
    {"sentences_cls", "bert", 40, 2},
    {"sentences_dense", "bert", 40, 2},
    {"sentences_max", "bert", 40, 2},
    {"sentences_last", "bert", 40, 2},
    {"qwen3", "qwen3", 40, 1},
    {"qwen3_window", "qwen3", 40, 1},
    {"qwen3_wide", "qwen3", 40, 1},
    {"qwen3_embedding", "qwen3", 40, 1},
    {"gemma3", "gemma3", 48, 1},
    {"gemma3_causal", "gemma3", 48, 1},
    {"gemma3_wide", "gemma3", 48, 1},
    {"embedding_gemma", "gemma3", 48, 1},
    {"qwen3_embedding", "qwen3", 40, 1, true},
    {"embedding_gemma", "gemma-embedding", 48, 1, true},
};

template <typename T>
std::vector<T> values(const formats::SafetensorsFile& file, std::string_view name) {
  const auto view = file.find(name).value();
  std::vector<T> out(view.data.size() / sizeof(T));
  std::memcpy(out.data(), view.data.data(), view.data.size());
  return out;
}

struct Golden {
  explicit Golden(const std::string& name) {
    const auto file =
        formats::SafetensorsFile::open(testing::golden_folder("encoders") / (name + ".expected.safetensors"));
    lengths = values<std::int32_t>(file, "lengths");
    tokens = values<std::int32_t>(file, "tokens");
    types = values<std::int32_t>(file, "types");
    const std::string what = file.find("states") ? "states" : file.find("logits") ? "logits" : "vectors";
    output = what == "states"   ? EncoderOutput::states
             : what == "logits" ? EncoderOutput::logits
                                : EncoderOutput::vector;
    exact = values<float>(file, what);
    fast = values<float>(file, "fast." + what);
    width = file.find(what)->cols();
  }
  std::vector<std::int32_t> lengths, tokens, types;
  EncoderOutput output;
  std::vector<float> exact, fast;  ///< of all texts
  std::size_t width;
};

std::unique_ptr<EncoderModel> load(const std::string& name, kernels::Device& device) {
  return load_encoder(formats::HfFolder::open(testing::golden_folder("encoders") / name), device);
}

formats::GgufFile open_gguf(const std::string& name) {
  return formats::GgufFile::open(testing::golden_folder("encoders") / (name + ".gguf"));
}

std::unique_ptr<EncoderModel> load(const ModelCase& model, kernels::Device& device) {
  return model.gguf ? load_encoder(open_gguf(model.name), device) : load(model.name, device);
}

/// The golden's texts in one batch, in the order `texts`; results in the golden's order.
std::vector<float> run(EncoderModel& model, const Golden& golden, const std::vector<std::size_t>& texts) {
  std::vector<float> out(golden.exact.size(), NAN);
  std::vector<EncoderText> batch;
  for (const std::size_t t : texts) {
    const auto first = static_cast<std::size_t>(std::accumulate(golden.lengths.begin(), golden.lengths.begin() + t, 0));
    const auto n = static_cast<std::size_t>(golden.lengths[t]);
    const bool states = golden.output == EncoderOutput::states;
    batch.push_back(
        {.tokens = std::span(golden.tokens).subspan(first, n),
         .types = std::span(golden.types).subspan(first, n),
         .output = golden.output,
         .pooling = model.info().pooling,
         .normalise = !states && model.info().normalises,
         .out = std::span(out).subspan((states ? first : t) * golden.width, (states ? n : 1) * golden.width)});
  }
  model.forward(batch);
  return out;
}

std::vector<std::size_t> all_texts(const Golden& golden) {
  std::vector<std::size_t> texts(golden.lengths.size());
  std::iota(texts.begin(), texts.end(), 0);
  return texts;
}

double rms_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) sum += std::pow(static_cast<double>(a[i] - b[i]), 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<ModelCase, DeviceCase>>& info) {
  return std::get<0>(info.param).label() + "_" + std::get<1>(info.param).name;
}

class EncoderGolden : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

/// As llama/golden_test.cpp: 8 rounding points in each layer and 4 for what stands behind the last, products of up to
/// 100 terms, two float32 computations.
TEST_P(EncoderGolden, EqualsTransformers) {
  const auto& [model_case, device_case] = GetParam();
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const Golden golden(model_case.name);
  EXPECT_EQ(model->info().architecture, model_case.architecture);
  EXPECT_EQ(model->info().context, model_case.context);
  EXPECT_EQ(model->info().types, model_case.types);
  EXPECT_GT(model->info().weight_bytes, 0U);
  const auto got = run(*model, golden, all_texts(golden));
  const double one_product = std::sqrt(100.0) * std::ldexp(1.0, -24);
  const double tolerance =
      2 * std::sqrt(8.0 * model->info().layers + 4) * one_product * testing::largest_magnitude(golden.exact);
  const double difference = testing::largest_difference(got, golden.exact);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LE(difference, tolerance);
}
INSTANTIATE_TEST_SUITE_P(Exact, EncoderGolden,
                         ::testing::Combine(::testing::ValuesIn(kModels),
                                            ::testing::ValuesIn(testing::exact_devices())),
                         case_name);

class EncoderBits : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

TEST_P(EncoderBits, DoNotDependOnTheBatch) {
  const auto& [model_case, device_case] = GetParam();
  const Golden golden(model_case.name);
  const auto device = device_case.make(2);
  const auto model = load(model_case, *device);
  const auto together = run(*model, golden, all_texts(golden));
  auto apart = together;
  std::fill(apart.begin(), apart.end(), NAN);
  for (const std::size_t text : all_texts(golden)) {
    const auto alone = run(*model, golden, {text});
    for (std::size_t i = 0; i < alone.size(); i++) apart[i] = std::isnan(alone[i]) ? apart[i] : alone[i];
  }
  EXPECT_EQ(std::memcmp(together.data(), apart.data(), together.size() * sizeof(float)), 0);
  const auto other = device_case.make(1);
  const auto turned = run(*load(model_case, *other), golden, {4, 2, 0, 3, 1});
  EXPECT_EQ(std::memcmp(together.data(), turned.data(), together.size() * sizeof(float)), 0);
}
INSTANTIATE_TEST_SUITE_P(All, EncoderBits,
                         ::testing::Combine(::testing::ValuesIn(kModels), ::testing::ValuesIn(testing::cpu_devices())),
                         case_name);

std::vector<DeviceCase> fast_devices() {
  auto out = testing::cpu_devices();
  std::erase_if(out, [](const DeviceCase& d) { return d.math == kernels::MathMode::exact; });
  return out;
}

class EncoderFast : public ::testing::TestWithParam<std::tuple<ModelCase, DeviceCase>> {};

/// Small roundings pass through a network in proportion, and independent ones add by squares. The golden `fast` tells
/// what Q8_0 weights cost: errors uniform over steps of max|w| / 127 of 32 columns. Ours have steps of max|w| / 2047 of
/// 128, whose largest is 1.19 times that of 32 (root mean square, of normal values): 1.19 * 127 / 2047 of it.
/// Activations, with steps of max|x| / 8191, err likewise relative to a product: 1.19 * 127 / 8191.
/// Attention rounds values to steps of their largest / 8191, softmax weights of theirs / 8191 and
/// queries and keys to finer ones: relative to its output, with a largest value of three times the root mean square,
/// sqrt(3^2 + 1 + 1) / 8191 / sqrt 12 in each layer. A quarter more is for the draw of the noise.
TEST_P(EncoderFast, RoundsWhatItMayAndNoMore) {
  const auto& [model_case, device_case] = GetParam();
  const Golden golden(model_case.name);
  const auto device = device_case.make();
  const auto model = load(model_case, *device);
  const auto got = run(*model, golden, all_texts(golden));
  const double own = rms_difference(got, golden.exact);
  const double size = rms_difference(std::vector<float>(golden.exact.size(), 0.0F), golden.exact);
  const double products = 1.19 * std::hypot(127.0 / 2047, 127.0 / 8191) * rms_difference(golden.fast, golden.exact);
  const double attention = std::sqrt(11.0 / 12 * model->info().layers) / 8191 * size;
  RecordProperty("of_what_is_allowed", std::to_string(own / (1.25 * std::hypot(products, attention))));
  EXPECT_LE(own, 1.25 * std::hypot(products, attention));
}
INSTANTIATE_TEST_SUITE_P(Fast, EncoderFast,
                         ::testing::Combine(::testing::ValuesIn(kModels), ::testing::ValuesIn(fast_devices())),
                         case_name);

TEST(EncoderInfo, TellsWhatTheFolderSays) {
  const auto device = kernels::make_reference_device();
  const auto of = [&](const std::string& name) { return load(name, *device)->info(); };
  EXPECT_TRUE(of("bert").labels.empty());
  EXPECT_EQ(of("bert").width, 36);
  EXPECT_EQ(of("bert").pooling, Pooling::mean) << "sentence-transformers' own choice for a bare folder";
  EXPECT_FALSE(of("bert").normalises);
  EXPECT_EQ(of("bert").advised_tokens, 40);
  const std::vector<std::string> sentiment = {"NEGATIVE", "POSITIVE"};
  EXPECT_EQ(of("distilbert_sentiment").labels, sentiment);
  EXPECT_TRUE(of("distilbert_sentiment").exclusive);
  EXPECT_EQ(of("xlm_roberta_reranker").labels, std::vector<std::string>{"LABEL_0"});
  EXPECT_EQ(of("roberta_multi_label").labels.size(), 4U);
  EXPECT_FALSE(of("roberta_multi_label").exclusive);
  EXPECT_EQ(of("sentences_cls").pooling, Pooling::first);
  EXPECT_TRUE(of("sentences_cls").normalises);
  EXPECT_EQ(of("sentences_cls").advised_tokens, 24);
  EXPECT_EQ(of("sentences_max").pooling, Pooling::max);
  EXPECT_EQ(of("sentences_last").pooling, Pooling::last);
  EXPECT_EQ(of("sentences_last").width, 33);
  EXPECT_EQ(of("sentences_dense").width, 20);
  EXPECT_EQ(of("qwen3_embedding").pooling, Pooling::last);
  EXPECT_TRUE(of("qwen3_embedding").normalises);
  EXPECT_EQ(of("qwen3_embedding").width, 64);
  EXPECT_EQ(of("embedding_gemma").pooling, Pooling::mean);
  EXPECT_TRUE(of("embedding_gemma").normalises);
  EXPECT_EQ(of("embedding_gemma").width, 64);
}

/// Rows that want another output than their neighbours, and another pooling than the folder's.
TEST(EncoderOutputs, AreChosenTextByText) {
  const auto device = kernels::make_reference_device();
  const auto model = load("xlm_roberta_reranker", *device);
  const std::vector<std::int32_t> a = {3, 9, 27}, b = {4, 5};
  std::vector<float> states(3 * 40), first(40), last(40), mean(40), logit(1), unit(40);
  const EncoderText texts[] = {
      {.tokens = b, .types = {}, .output = EncoderOutput::logits, .out = logit},
      {.tokens = a, .types = {}, .output = EncoderOutput::states, .out = states},
      {.tokens = a, .types = {}, .output = EncoderOutput::vector, .pooling = Pooling::first, .out = first},
      {.tokens = a, .types = {}, .output = EncoderOutput::vector, .pooling = Pooling::last, .out = last},
      {.tokens = a, .types = {}, .output = EncoderOutput::vector, .pooling = Pooling::mean, .out = mean},
      {.tokens = a,
       .types = {},
       .output = EncoderOutput::vector,
       .pooling = Pooling::mean,
       .normalise = true,
       .out = unit},
  };
  model->forward(texts);
  double squares = 0;
  for (const float x : mean) squares += static_cast<double>(x) * static_cast<double>(x);
  for (std::size_t c = 0; c < 40; c++) {
    EXPECT_EQ(first[c], states[c]);
    EXPECT_EQ(last[c], states[80 + c]);
    EXPECT_NEAR(mean[c], (states[c] + states[40 + c] + states[80 + c]) / 3, 1e-6);
    EXPECT_NEAR(unit[c], static_cast<double>(mean[c]) / std::sqrt(squares), 1e-6);
  }
  EXPECT_TRUE(std::isfinite(logit[0]));
}

MemoryEstimate estimate_of(const formats::HfFolder& folder, kernels::MathMode math) {
  return estimate_encoder_memory(folder, rounded_weights(math, kernels::Activations::int16));
}
MemoryEstimate estimate_of(const formats::GgufFile& file, kernels::MathMode /*math*/) {
  return estimate_encoder_memory(file);
}

template <typename Source>
void check_estimate(const ModelCase& model, const Source& source) {
  for (const auto math : {kernels::MathMode::exact, kernels::MathMode::fast}) {
    const auto device = kernels::make_cpu_device({2, math});
    const MemoryEstimate estimate = estimate_of(source, math);
    const auto loaded = load_encoder(source, *device);
    // Each allocation ends at a page, and vectors of a half-precision file become floats.
    const std::size_t slack = 4096 * (source.names().size() + 8);
    EXPECT_LE(loaded->info().weight_bytes, estimate.weight_bytes + slack) << model.label();
    EXPECT_GE(loaded->info().weight_bytes + slack, estimate.weight_bytes) << model.label();
    EXPECT_EQ(estimate.context, model.context);
    EXPECT_EQ(estimate.least_rows, model.context);
    EXPECT_EQ(estimate.kv_bytes_per_token, 0U);
    EXPECT_EQ(estimate.vocab, 0);
  }
}

/// The estimate is made from headers alone and is near what is packed.
TEST(EncoderEstimate, IsNearTheTruth) {
  for (const ModelCase& model : kModels) {
    if (model.gguf) {
      check_estimate(model, open_gguf(model.name));
    } else {
      check_estimate(model, formats::HfFolder::open(testing::golden_folder("encoders") / model.name));
    }
  }
}

}  // namespace
}  // namespace glia::models
