// Llamas in quantised Hugging Face folders against transformers on the weights that they stand for
// (tests/golden/make_hf_quantised.py). The weights themselves are held bit for bit in
// src/formats/hf_quantised_test.cpp.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/safetensors.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using testing::DeviceCase;

class QuantisedFolder : public ::testing::TestWithParam<std::tuple<std::string, DeviceCase>> {};

template <typename T>
std::vector<T> read(const formats::SafetensorsFile& file, const std::string& name) {
  const auto view = file.find(name).value();
  std::vector<T> out(view.data.size() / sizeof(T));
  std::memcpy(out.data(), view.data.data(), view.data.size());
  return out;
}

/// As in golden_test.cpp: 8 rounding points in each of 2 layers and the head, of up to 128 terms. The fast path rounds
/// inputs to 2^-16 of their block's largest and keys and values to 2^-11: some 2^5 times float32's error a term.
TEST_P(QuantisedFolder, LogitsAreTransformers) {
  const auto& [name, device_case] = GetParam();
  const auto folder = testing::golden_folder("hf_quantised") / name;
  const auto device = device_case.make();
  const auto model = load_language_model(formats::HfFolder::open(folder), *device);
  const auto expected = formats::SafetensorsFile::open(folder / "expected.safetensors");
  const auto want = read<float>(expected, "logits");
  const auto got = testing::all_logits(*model, read<std::int32_t>(expected, "tokens"), 7);
  const double unit = std::sqrt(128.0) * 0x1p-24 * testing::largest_magnitude(want);
  const double exact = 2 * std::sqrt(8.0 * 2 + 1) * unit;
  const double allowed = device_case.math == kernels::MathMode::fast
                             ? std::sqrt(8.0 * 2 + 1) * 0x1p-11 * testing::largest_magnitude(want)
                             : exact;
  EXPECT_LE(testing::largest_difference(got, want), allowed);
}

/// The estimate is what the packed weights take; an allocation is whole pages.
TEST_P(QuantisedFolder, EstimateKnowsThePackedSize) {
  const auto& [name, device_case] = GetParam();
  if (device_case.reference) return;
  const auto folder = formats::HfFolder::open(testing::golden_folder("hf_quantised") / name);
  const auto device = device_case.make();
  const std::size_t taken = load_language_model(folder, *device)->info().weight_bytes;
  const std::size_t estimate = estimate_memory(folder, device_case.math).weight_bytes;
  EXPECT_LE(estimate, taken);
  EXPECT_LE(taken, estimate + 4096 * folder.names().size());
}

std::vector<DeviceCase> devices() {
  auto all = testing::exact_devices();
  for (auto& device : testing::cpu_devices()) {
    if (device.math == kernels::MathMode::fast) all.push_back(device);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Every, QuantisedFolder,
                         ::testing::Combine(::testing::Values("llama_awq", "llama_gptq", "llama_fp8"),
                                            ::testing::ValuesIn(devices())),
                         [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param).name; });

}  // namespace
}  // namespace glia::models
