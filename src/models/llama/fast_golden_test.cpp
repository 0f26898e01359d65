// The fast path on the tiny golden models, against transformers with the same roundings put in (make_llama.py): inputs
// of products with quantised weights as 16-bit integers per 256 columns, keys and values as float16.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/gguf.h"
#include "models/sequence_runner.h"

namespace glia::models {
namespace {

using testing::DeviceCase;

double rms_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum / static_cast<double>(a.size()));
}

class LlamaFast : public ::testing::TestWithParam<DeviceCase> {};

/// A fast path may be as far from the exact logits as those roundings alone take transformers, and no further. The two
/// need not agree with each other: float32 noise pushes a few values over a rounding border, the next rounding
/// multiplies them, and after some ten roundings the noise is drawn anew. Its size stays; a quarter more is allowed for
/// that draw.
TEST_P(LlamaFast, RoundsWhatItMayAndNoMore) {
  const auto device = GetParam().make();
  for (const auto* name : {"odd", "mqa_tied", "wide_heads_linear", "llama3_rope", "quant"}) {
    const auto golden = testing::read_golden(name);
    const auto model =
        load_language_model(formats::GgufFile::open(testing::golden_folder() / (std::string(name) + ".gguf")), *device);
    const auto logits = testing::all_logits(*model, golden.inputs(), 1000);
    const double own = rms_difference(logits, golden.logits);
    const double rounding = rms_difference(golden.fast_logits, golden.logits);
    EXPECT_LE(own, 1.25 * rounding) << name;
    RecordProperty(name, std::to_string(own) + " of " + std::to_string(rounding));
  }
}

std::vector<DeviceCase> fast_devices() {
  auto out = testing::cpu_devices();
  std::erase_if(out, [](const DeviceCase& d) { return d.math == kernels::MathMode::exact; });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Isas, LlamaFast, ::testing::ValuesIn(fast_devices()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace glia::models
