// all-MiniLM-L6-v2, real weights and real text: the exact path against transformers (tests/golden/make_minilm.py), the
// fast path by the cosines of its vectors to those.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "formats/safetensors.h"
#include "models/encoder_model.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using kernels::Pooling;
using testing::DeviceCase;

constexpr std::size_t kWidth = 384;

std::filesystem::path minilm_path() {
  namespace fs = std::filesystem;
  constexpr auto kName = "all-MiniLM-L6-v2";
  if (const char* models = std::getenv("GLIA_MODELS")) return fs::path(models) / kName;
  if (const char* data = std::getenv("XDG_DATA_HOME")) return fs::path(data) / "glia/models" / kName;
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "" : home) / ".local/share/glia/models" / kName;
}

std::unique_ptr<EncoderModel> load_minilm(kernels::Device& device) {
  const auto path = minilm_path();
  if (!std::filesystem::exists(path)) {
    throw std::runtime_error("no weights at " + path.string() + ": run scripts/bootstrap, or set GLIA_MODELS");
  }
  return load_encoder(formats::HfFolder::open(path), device);
}

struct Expected {
  Expected() : file(formats::SafetensorsFile::open(testing::golden_folder("minilm") / "expected.safetensors")) {}
  template <typename T>
  std::vector<T> get(std::string_view name) const {
    const auto view = file.find(name).value();
    std::vector<T> out(view.data.size() / sizeof(T));
    std::memcpy(out.data(), view.data.data(), view.data.size());
    return out;
  }
  formats::SafetensorsFile file;
};

/// Vectors of length 1 of every text, all in one batch. [texts, 384]
std::vector<float> vectors(EncoderModel& model, Pooling pooling) {
  const Expected expected;
  const auto lengths = expected.get<std::int32_t>("lengths");
  const auto tokens = expected.get<std::int32_t>("tokens");
  std::vector<float> out(lengths.size() * kWidth);
  std::vector<EncoderText> texts;
  std::size_t first = 0;
  for (std::size_t i = 0; i < lengths.size(); i++) {
    const auto n = static_cast<std::size_t>(lengths[i]);
    texts.push_back({.tokens = std::span(tokens).subspan(first, n),
                     .types = {},
                     .pooling = pooling,
                     .normalise = true,
                     .out = std::span(out).subspan(i * kWidth, kWidth)});
    first += n;
  }
  model.forward(texts);
  return out;
}

double least_cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double least = 1;
  for (std::size_t i = 0; i < a.size(); i += kWidth) {
    double dot = 0, aa = 0, bb = 0;
    for (std::size_t j = i; j < i + kWidth; j++) {
      dot += static_cast<double>(a[j]) * static_cast<double>(b[j]);
      aa += static_cast<double>(a[j]) * static_cast<double>(a[j]);
      bb += static_cast<double>(b[j]) * static_cast<double>(b[j]);
    }
    least = std::min(least, dot / std::sqrt(aa * bb));
  }
  return least;
}

class MiniLm : public ::testing::TestWithParam<DeviceCase> {};

TEST_P(MiniLm, TellsWhatItIs) {
  const auto device = GetParam().make();
  const EncoderInfo info = load_minilm(*device)->info();
  EXPECT_EQ(info.architecture, "bert");
  EXPECT_EQ(info.context, 512);
  EXPECT_EQ(info.advised_tokens, 256);
  EXPECT_EQ(info.hidden, 384);
  EXPECT_EQ(info.width, 384);
  EXPECT_EQ(info.types, 2);
  EXPECT_EQ(info.pooling, Pooling::mean);
  EXPECT_TRUE(info.normalises);
}

/// Exact: as encoder/golden_test.cpp, with products of up to 1536 terms in 16 lanes and elements of a unit vector, the
/// largest of which is below 0.25. Fast: a cosine of 0.9999 on the worst text.
TEST_P(MiniLm, GivesTheVectorsOfTransformers) {
  const bool exact = GetParam().math == kernels::MathMode::exact;
  const auto device = GetParam().make();
  const auto model = load_minilm(*device);
  const Expected expected;
  const double tolerance = 2 * std::sqrt(8.0 * 6 + 4) * std::sqrt(1536.0 / 16) * std::ldexp(1.0, -24) * 0.25;
  for (const auto& [pooling, name] : {std::pair{Pooling::mean, "mean"}, std::pair{Pooling::first, "first"}}) {
    const auto want = expected.get<float>(name);
    const auto got = vectors(*model, pooling);
    const double cosine = least_cosine(got, want);
    const double difference = testing::largest_difference(got, want);
    std::cout << name << ": least cosine " << cosine << ", largest difference " << difference << "\n";
    if (exact) {
      EXPECT_LE(difference, tolerance);
    } else {
      EXPECT_GE(cosine, 0.9999);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, MiniLm, ::testing::ValuesIn(testing::cpu_devices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace glia::models
